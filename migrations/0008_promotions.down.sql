-- Drops observations, promotions and desired releases with everything in them.

DROP TABLE desired_releases;
DROP TABLE promotions;
DROP FUNCTION promotions_refuse_change();
DROP TABLE observations;
