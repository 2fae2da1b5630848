-- Drops environments, releases and images with everything in them.

DROP TABLE release_images;
DROP TABLE releases;
DROP TABLE environment_services;
DROP TABLE environments;
