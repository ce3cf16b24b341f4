"""A module folder in TF1-hub format -> the default image size attached to its graph.

tensorflow-hub read these attachments up to 0.15, for `hub.get_expected_image_size`; their messages
left the package with it and are declared again here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from transforms.quiet_libraries import quiet_import

with quiet_import():
    from tensorflow.core.protobuf import saved_model_pb2

COLLECTION: Final = "hub_module_attachments"
IMAGE_MODULE_INFO: Final = "image_module_info"
_PACKAGE: Final = "lookalike.hub"


def attached_image_size(folder: str) -> tuple[int, int] | None:
    """Height and width that a module in TF1-hub format says it takes; None where it says nothing."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((Path(folder) / "saved_model.pb").read_bytes())
    for graph in saved_model.meta_graphs:
        if graph.meta_info_def.tags or COLLECTION not in graph.collection_def:
            continue
        for data in graph.collection_def[COLLECTION].bytes_list.value:
            attachment = _messages()["ModuleAttachment"].FromString(data)
            if attachment.key == IMAGE_MODULE_INFO:
                size = _messages()["ImageModuleInfo"].FromString(attachment.value).image_size
                return (size.height, size.width) if size.height and size.width else None
    return None


@cache
def _messages() -> dict[str, Any]:
    """The classes of the messages, by name."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="lookalike/hub.proto", package=_PACKAGE, syntax="proto3"
    )
    fields = {
        "ModuleAttachment": (("key", kinds.TYPE_STRING), ("value", kinds.TYPE_BYTES)),
        "ImageSize": (("height", kinds.TYPE_INT32), ("width", kinds.TYPE_INT32)),
        "ImageModuleInfo": (("image_size", kinds.TYPE_MESSAGE),),
    }
    for name, members in fields.items():
        message = file.message_type.add(name=name)
        for number, (member, kind) in enumerate(members, start=1):
            field = message.field.add(
                name=member, number=number, type=kind, label=kinds.LABEL_OPTIONAL
            )
            if kind == kinds.TYPE_MESSAGE:
                field.type_name = f".{_PACKAGE}.ImageSize"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in fields
    }
