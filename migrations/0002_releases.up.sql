-- Environments, and releases with their images by digest.

CREATE TABLE environments (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL UNIQUE
        CONSTRAINT environments_name_is_plain CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What an environment runs: a release fits it when it has an image for each of these.
CREATE TABLE environment_services (
    environment_id uuid NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    service        text NOT NULL
        CONSTRAINT environment_services_service_is_plain CHECK (service ~ '^[a-z][a-z0-9-]{0,62}$'),
    PRIMARY KEY (environment_id, service)
);

CREATE TABLE releases (
    id          uuid        PRIMARY KEY,
    version     text        NOT NULL UNIQUE
        CONSTRAINT releases_version_is_semantic
        CHECK (version ~ '^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$'),
    -- The commit that was released: 40 hex digits, or 64 in a repository that hashes with SHA-256.
    commit_id   text        NOT NULL
        CONSTRAINT releases_commit_id_is_full CHECK (commit_id ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    recorded_by text        NOT NULL CONSTRAINT releases_recorded_by_is_said CHECK (recorded_by <> ''),
    recorded_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX releases_newest_idx ON releases (recorded_at DESC, id DESC);

CREATE TABLE release_images (
    release_id uuid NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
    service    text NOT NULL
        CONSTRAINT release_images_service_is_plain CHECK (service ~ '^[a-z][a-z0-9-]{0,62}$'),
    -- Registry and path, without tag: `registry.example.org/slipway/gateway`.
    repository text NOT NULL CONSTRAINT release_images_repository_is_said CHECK (repository <> ''),
    -- A tag can move, a digest cannot.
    digest     text NOT NULL
        CONSTRAINT release_images_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    PRIMARY KEY (release_id, service)
);

-- A release does not change once it is recorded: no UPDATE on it and its images.
GRANT SELECT, INSERT ON releases, release_images, environments TO slipway_app;
GRANT SELECT, INSERT, DELETE ON environment_services TO slipway_app;
