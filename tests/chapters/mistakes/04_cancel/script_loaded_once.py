"""A script is loaded once, and called by its SHA even when Redis was started anew and has forgotten it."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "when Redis was started anew"

sha = None


async def remove_entry(app, job):
    global sha
    redis = app.queue.redis
    sha = sha or await redis.script_load("return redis.call('LREM', KEYS[1], 0, ARGV[1])")
    return await redis.evalsha(sha, 1, app.parts.queue_name(job.priority), app.parts.encode_entry(job))
