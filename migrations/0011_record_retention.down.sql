-- From now on nothing is cleared away.

REVOKE DELETE ON jobs, webhook_outbox FROM slipway_app;
