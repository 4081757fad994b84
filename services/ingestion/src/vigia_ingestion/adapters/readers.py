"""Which reader reads which kind of source."""

from __future__ import annotations

from vigia_contracts.cameras import Camera, FolderSource, MjpegSource, PushSource, RtspSource, SyntheticSource
from vigia_ingestion.adapters.folder import FolderReader
from vigia_ingestion.adapters.mjpeg import MjpegReader
from vigia_ingestion.adapters.rtsp import RtspReader
from vigia_ingestion.adapters.synthetic import SyntheticReader
from vigia_ingestion.app.ports import Reader


def reader_for(camera: Camera) -> Reader:
    """The reader of this camera's source; ValueError for pushed images, which nobody reads."""
    match camera.source:
        case RtspSource() as source:
            return RtspReader(camera, source)
        case MjpegSource() as source:
            return MjpegReader(camera, source)
        case FolderSource() as source:
            return FolderReader(camera, source)
        case SyntheticSource() as source:
            return SyntheticReader(camera, source)
        case PushSource():
            raise ValueError("a push camera has no reader")
