-- Drops the outbox: events that were not delivered yet are lost.

DROP TABLE webhook_outbox;
