"""What a role shows of itself to who watches it: /metrics, /healthz and /readyz.

Roles keep plain counters and show them as `Figures`; everything of Prometheus is in here, and happens when somebody
asks. Each role has a registry of its own.
"""

from linksocks.metrics.pages import Pages as Pages
