-- Jobs that are done and events that were handed over may be cleared away after a while; dead jobs when someone says so.

GRANT DELETE ON jobs, webhook_outbox TO slipway_app;
