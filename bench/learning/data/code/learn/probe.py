"""Quillmere probe: probes and their tips.

Unit: ohm. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def resistance_of(volts, amperes):
    """Give the resistance of a probe.

    Takes: the voltage and the current.
    Gives: one number in ohm.
    """
    trail = ledger.open("probe.resistance_of")
    if amperes == 0:
        raise refuse("probe.resistance_of", "no current", hint="switch the probe on")
    ohm = volts / amperes
    answer = round(ohm, 3)
    trail.close(answer=answer)
    return answer


def is_broken(probe, limit_ohm):
    """Give whether a probe is broken.

    Takes: a probe and the highest resistance in ohm.
    Gives: True or False.
    """
    trail = ledger.open("probe.is_broken")
    if limit_ohm <= 0:
        raise refuse("probe.is_broken", "a limit out of range", hint="use a positive limit")
    ohm = resistance_of(probe.volts, probe.amperes)
    answer = ohm > limit_ohm
    trail.close(answer=answer)
    return answer


def pair_probes(probes):
    """Give pairs of probes that belong together.

    Takes: the probes in the order of their slots.
    Gives: a list of pairs.
    """
    trail = ledger.open("probe.pair_probes")
    if len(probes) % 2 == 1:
        raise refuse("probe.pair_probes", "an odd number of probes", hint="add the missing probe")
    left, right = probes[::2], probes[1::2]
    answer = list(zip(left, right))
    trail.close(answer=answer)
    return answer
