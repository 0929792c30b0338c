"""What is published about jobs, and what a watch that hears it would find in the database."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

from workbook.judge import Side
from workbook.world import World


class Listening:
    """Hears every hint from now on. Ids must be new in each play: all indexes of a Redis share their channels."""

    def __init__(self, side: Side) -> None:
        self._side = side
        for world in side.worlds:
            world.serve()
        self._notes = [notes_of(world) for world in side.worlds]
        self._pubsub: Any = side.world.redis.pubsub(ignore_subscribe_messages=True)
        self._pubsub.psubscribe("job:*")
        self.forget()

    def taken(self) -> list[str]:
        """The jobs of this play that were hinted at since the last time."""
        for world in self._side.worlds:
            world.run(lambda app: app.hints.close())
        token = uuid4().hex
        self._pubsub.ping(token)  # what was published before is here when the reply is
        hinted = set()
        while (message := self._pubsub.get_message(timeout=5)) is None or message["type"] != "pong":
            if message is not None:
                hinted.add(self._side.plain(message["channel"]))
        return sorted(name for name in hinted if "new id" not in name)

    def forget(self) -> None:
        """What was hinted at so far counts no more."""
        self.taken()
        for notes in self._notes:
            notes.clear()

    def found(self, status: str) -> str:
        """Whether all that was told by `app.hints` had this status by then, for everybody to see."""
        others = [one for notes in self._notes for one in notes if one != status]
        return f"it is still {others[0]}" if others else f"it is {status}"

    def close(self) -> None:
        self._pubsub.close()


def notes_of(world: World) -> list[str]:
    """The list in which `app.hints.changed` of this world notes the status that each row has for others."""
    hints: Any = world.app.hints
    if "changed" not in vars(hints):
        hints.changed = _Noting(world, hints.changed)
    notes: list[str] = hints.changed.notes
    return notes


class _Noting:
    def __init__(self, world: World, changed: Callable[[list[UUID]], None]) -> None:
        self._world = world
        self._changed = changed
        self.notes: list[str] = []

    def __call__(self, task_ids: Iterable[UUID]) -> None:
        ids = list(task_ids)
        for task_id in ids:
            rows = self._world.sql("SELECT status FROM tasks WHERE task_id = %s", task_id)
            self.notes += [row["status"] for row in rows] or ["gone"]
        self._changed(ids)
