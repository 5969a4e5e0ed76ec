"""Services for the tests of isolation: one that works, and ones that take their process with them."""

import asyncio
import os
import sys
import time


class Adder:
    def __init__(self, config):
        self.step = config.get("step", 1)

    def load(self):
        print("loading the adder")

    def predict(self, value: dict) -> dict:
        return {"y": value["x"] + self.step, "pid": os.getpid()}


class Trouble:
    async def predict(self, value: str):
        if value == "crash":
            os._exit(9)
        if value == "sleep":  # C code that nothing interrupts
            await asyncio.to_thread(time.sleep, 0)
            return await self.blocked()
        return os.getpid()

    async def blocked(self):
        time.sleep(60)


class Stuck:
    def load(self):
        vars(sys.modules["__main__"])["STUCK_S"] = 0.5  # child.py's

    def predict(self, value: str):
        if value == "stuck":
            time.sleep(60)
        return os.getpid()


class Streaming:
    async def predict(self, value: int):
        for n in range(value):
            yield n
            await asyncio.sleep(0.01)


class Unloadable:
    def load(self):
        raise RuntimeError("no weights here")

    def predict(self, value):
        return value


class Counting:
    """Streams, logs at length, and has metrics of its own."""

    def __init__(self):
        from prometheus_client import CollectorRegistry, Counter

        self.metrics = CollectorRegistry()
        self.asked = Counter("my_asked", "How often", ["kind"], registry=self.metrics)

    async def predict(self, value: int):
        self.asked.labels(kind="a").inc(value)
        if value == 0:
            raise RuntimeError("why " * 10_000)
        for n in range(value):
            yield n
