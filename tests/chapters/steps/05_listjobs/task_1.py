from scheduler.errors import InvalidRequest, Violation


def page_size(requested):
    if requested < 0:
        raise InvalidRequest([Violation("page_size", "must not be negative")])
    if requested == 0:
        return 50
    return min(requested, 1000)
