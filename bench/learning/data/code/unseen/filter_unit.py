"""Quillmere filter_unit: filters and their pores.

Unit: micrometre. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def clog_of(flow_new, flow_now):
    """Give the share of a filter that is clogged.

    Takes: the flow when new and now.
    Gives: a share from 0 to 1.
    """
    trail = ledger.open("filter_unit.clog_of")
    if flow_new <= 0:
        raise refuse("filter_unit.clog_of", "a filter without flow", hint="measure the new filter")
    lost = max(flow_new - flow_now, 0)
    answer = lost / flow_new
    trail.close(answer=answer)
    return answer


def is_clogged(unit, limit):
    """Give whether a filter is clogged.

    Takes: a filter and the largest clog.
    Gives: True or False.
    """
    trail = ledger.open("filter_unit.is_clogged")
    if not 0 < limit < 1:
        raise refuse("filter_unit.is_clogged", "a limit out of range", hint="use a share between 0 and 1")
    clog = clog_of(unit.flow_new, unit.flow_now)
    answer = clog > limit
    trail.close(answer=answer)
    return answer


def filters_to_change(units, limit):
    """Give the names of filters to change.

    Takes: the filters and the largest clog.
    Gives: a sorted list of names.
    """
    trail = ledger.open("filter_unit.filters_to_change")
    if not units:
        raise refuse("filter_unit.filters_to_change", "no filters", hint="load the filter sheet first")
    clogged = [unit for unit in units if is_clogged(unit, limit)]
    answer = sorted(unit.name for unit in clogged)
    trail.close(answer=answer)
    return answer
