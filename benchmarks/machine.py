"""What a measurement was made on."""

import platform
from pathlib import Path

from index.manifest import installed_versions
from transforms.work_threads import usable_cores


def describe_machine() -> dict[str, str]:
    """Processor, Python and the versions that decide how fast a run is."""
    return {
        "processor": f"{_processor()}, {usable_cores()} cores",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        **{name: version for name, version in installed_versions().items() if name != "faiss-cpu"},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    name = facts.get("model name") or platform.processor() or "unknown"
    abilities = [
        flag
        for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        if flag in facts.get("flags", "").split()
    ]
    return f"{name} ({' '.join(abilities) or 'no avx2'})"
