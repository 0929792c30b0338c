from scheduler.jobs import Priority


def queue_name(priority):
    return "q:" + Priority(priority).value
