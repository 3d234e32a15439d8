"""Scalars for TensorBoard, written as they come: no TensorFlow, no threads, nothing queued.

tensorboardX gives the file format; its SummaryWriter is not used, since its queue and thread lose
what a kill finds there and hide a full disk.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary


class EventFile:
    """A new event file in `folder`, made at the first write.

    TensorBoard hides what older files there hold from `first_step` on.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._folder, self._first_step = folder, first_step
        self._writer: EventsWriter | None = None

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add scalars of `step`, by tag; they are on disk when this returns."""
        if self._writer is None:
            self._writer = self._start()
        values = [Summary.Value(tag=t, simple_value=v) for t, v in scalars.items()]
        self._writer.write_event(
            Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        )
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _start(self) -> EventsWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        # The name has whole seconds only: the process makes it its own.
        writer = EventsWriter(str(self._folder / "events"), f".{os.getpid()}.{self._first_step}")
        start = SessionLog(status=SessionLog.START)
        writer.write_event(Event(wall_time=time.time(), step=self._first_step, session_log=start))
        return writer
