"""Python beside the program `eki-mpi`: read its runs, bring the outputs that a run asks for, make a function its simulator.

`Run` reads a run's folder as arrays, DataFrames and ArviZ InferenceData. `AskTell` is a calibration in which Python computes the
outputs that each step asks for. `simulator` makes a function the program that `model.command` starts.

NumPy is all that is needed; pandas and ArviZ only for what returns their types.
"""

from .ask_tell import AskTell, ProgramError, Stopped
from .run import Run, Step
from .simulator import observation_set, simulator
from .table import Table

__all__ = ["AskTell", "ProgramError", "Run", "Step", "Stopped", "Table", "observation_set", "simulator"]
__version__ = "0.1.0"
