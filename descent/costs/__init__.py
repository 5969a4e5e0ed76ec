"""What a step costs and what it could cost: operations, bytes, floors, measured times, memory."""

from descent.costs.machine import Machine, measure_machine
from descent.costs.profiling import profile
from descent.costs.report import Entry, Report
from descent.costs.work import Work, model_work

__all__ = ["Entry", "Machine", "Report", "Work", "measure_machine", "model_work", "profile"]
