"""Files for those who watch a node: Grafana's dashboard, Prometheus' scrape configuration, alerts.

`panels.py` what is looked at · `grafana.py` the dashboard · `prometheus.py` the two files beside.
"""

from descent.deploy.dashboards.grafana import dashboard
from descent.deploy.dashboards.prometheus import ALERTS, alert_rules, scrape_config

__all__ = ["ALERTS", "alert_rules", "dashboard", "scrape_config"]
