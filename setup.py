"""Packaging of lookalike; `--setup_file=./setup.py` stages it on remote workers."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def requirements() -> list[str]:
    lines = (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "pytest"))]


OPENVINO = "openvino>=2026,<2027"
SERVE = [
    "fastapi>=0.120,<1",
    "httptools>=0.6",
    "prometheus-client>=0.20",
    "python-multipart>=0.0.20",
    "uvicorn>=0.38,<1",
    "uvloop>=0.21; platform_system != 'Windows'",
]

setup(
    name="lookalike",
    version="0.1.0",
    description="Buckets of pictures to embeddings, nearest-neighbor indexes and duplicate groups",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["pipelines*", "transforms*", "index*"]),
    package_data={
        "pipelines": ["py.typed", "service/page/*"],
        "transforms": ["py.typed", "catalog.csv"],
        "index": [
            "py.typed",
            "report.html.jinja",
            "recall_plot.svg.jinja",
            "histogram.svg.jinja",
            "embedding_map.html.jinja",
            "embedding_map.js",
        ],
    },
    install_requires=requirements(),
    extras_require={
        "openvino": [OPENVINO],
        "serve": SERVE,
        "map": ["umap-learn>=0.5.12,<0.6"],
        "bench": ["hnswlib>=0.8", "usearch>=2.16"],
        "dev": [
            OPENVINO,
            *SERVE,
            "build>=1.2",
            "datasets>=4",
            "httpx2>=2",
            "hypothesis>=6.150",
            "import-linter>=2.5",
            "mypy>=2.0",
            "pandas>=2",
            "playwright>=1.50",
            "pytest>=9,<10",
            "ruff>=0.15",
        ],
    },
    entry_points={"console_scripts": ["lookalike = pipelines.command_line:console"]},
)
