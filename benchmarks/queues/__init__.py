"""One file a queue: its jobs, how to submit them, its worker's command, and how to see how many have finished."""
