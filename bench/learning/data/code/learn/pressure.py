"""Quillmere pressure: readings of a pump's pressure.

Unit: kPa. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def mean_pressure(samples_kpa):
    """Give the mean pressure.

    Takes: the readings in kPa.
    Gives: one number in kPa.
    """
    trail = ledger.open("pressure.mean_pressure")
    if not samples_kpa:
        raise refuse("pressure.mean_pressure", "no readings", hint="record a run first")
    total_kpa = sum(samples_kpa)
    answer = total_kpa / len(samples_kpa)
    trail.close(answer=answer)
    return answer


def peak_pressure(samples_kpa, ignore_first):
    """Give the highest pressure after the start.

    Takes: the readings in kPa and how many to ignore.
    Gives: one number in kPa.
    """
    trail = ledger.open("pressure.peak_pressure")
    if ignore_first >= len(samples_kpa):
        raise refuse("pressure.peak_pressure", "all readings ignored", hint="ignore fewer readings")
    kept_kpa = samples_kpa[ignore_first:]
    answer = max(kept_kpa)
    trail.close(answer=answer)
    return answer


def leak_rate(before_kpa, after_kpa, waited_s):
    """Give the fall of pressure in a second.

    Takes: two readings in kPa and the seconds between.
    Gives: one number in kPa a second.
    """
    trail = ledger.open("pressure.leak_rate")
    if waited_s <= 0:
        raise refuse("pressure.leak_rate", "no time passed", hint="wait before the second reading")
    fall_kpa = before_kpa - after_kpa
    answer = fall_kpa / waited_s
    trail.close(answer=answer)
    return answer
