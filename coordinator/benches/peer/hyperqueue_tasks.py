"""HyperQueue's overhead for each task on this machine: tasks that do nothing, on its own LocalCluster.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python hyperqueue_tasks.py --tasks 10000

HyperQueue starts a process for each task, here /bin/true. To tell that apart, the same processes are first started without it.
"""

import argparse
import os
import resource
import subprocess
import time
from importlib.metadata import version

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def bare(tasks: int) -> float:
    """Seconds for the processes alone, one after another."""
    began = time.perf_counter()
    for _ in range(tasks):
        subprocess.run(["/bin/true"], check=True)
    return time.perf_counter() - began


def queued(tasks: int) -> float:
    """Seconds from handing the tasks in until all are done, with a worker for each core."""
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=os.cpu_count()))
        client = cluster.client()
        job = Job()
        for _ in range(tasks):
            job.program(["/bin/true"], stdout=None, stderr=None)
        began = time.perf_counter()
        submitted = client.submit(job)
        client.wait_for_jobs([submitted])
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    tasks = parser.parse_args().tasks
    few = min(tasks, 1_000)
    print(f"hyperqueue {version('hyperqueue')}, {os.cpu_count()} cores, {tasks} tasks")
    print(f"a process alone: {bare(few) / few * 1e6:.0f} µs")
    seconds = queued(tasks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"a task in HyperQueue: {seconds / tasks * 1e6:.0f} µs ({tasks / seconds:.0f} tasks per second)")
    print(f"peak memory of server, worker and client, in one process: {peak * 1024 // 1_000_000} MB")


if __name__ == "__main__":
    main()
