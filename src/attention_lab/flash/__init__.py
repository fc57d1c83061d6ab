"""``flash_attn_varlen_func`` on any machine, by the best of three routes.

Its door is this package itself: ``from attention_lab.flash import flash_attn_varlen_func``, chosen at the first use.
"""

from attention_lab.doors import opens

__getattr__ = opens(__name__, flash_attn_varlen_func="route", flash_route="route")
