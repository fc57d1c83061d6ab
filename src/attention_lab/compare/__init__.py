"""The learner's own functions side by side: outputs, time, memory, and figures of real kernels.

Its door is this package itself, and ``measure``, ``recorded`` and ``waste`` for what lesson L1 draws.
"""

from attention_lab.doors import opens

__getattr__ = opens(__name__, agreement="functions", load_functions="functions", traffic_figure="traffic")
