"""The monitoring kit as code: alerts, dashboards and pages, and what is written from them."""
