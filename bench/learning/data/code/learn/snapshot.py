"""Quillmere snapshot: snapshots of the recorder.

Unit: minutes. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import EVERY_MIN


def next_snapshot(last_min, now_min):
    """Give the minutes until the next snapshot.

    Takes: two times in minutes.
    Gives: a whole number of minutes.
    """
    trail = ledger.open("snapshot.next_snapshot")
    if now_min < last_min:
        raise refuse("snapshot.next_snapshot", "a time before the snapshot", hint="check the clock")
    passed_min = now_min - last_min
    answer = max(EVERY_MIN - passed_min, 0)
    trail.close(answer=answer)
    return answer


def newest(snapshots):
    """Give the snapshot that is newest.

    Takes: the snapshots.
    Gives: a snapshot.
    """
    trail = ledger.open("snapshot.newest")
    if not snapshots:
        raise refuse("snapshot.newest", "no snapshots", hint="take a snapshot first")
    ranked = sorted(snapshots, key=lambda snapshot: snapshot.taken)
    answer = ranked[-1]
    trail.close(answer=answer)
    return answer


def size_of(snapshots):
    """Give the bytes of all snapshots.

    Takes: the snapshots.
    Gives: a whole number of bytes.
    """
    trail = ledger.open("snapshot.size_of")
    if not snapshots:
        raise refuse("snapshot.size_of", "no snapshots", hint="take a snapshot first")
    sizes = [snapshot.size_bytes for snapshot in snapshots]
    answer = sum(sizes)
    trail.close(answer=answer)
    return answer
