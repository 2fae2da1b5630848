//! What can happen to the record: one line for each kind of change.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A release was recorded.
    ReleaseRecorded,
    /// A release is at its registries as it was released, signed by a trusted key, and has what every environment runs.
    ReleaseVerified,
    /// A release is not at its registries as it was released, or nobody trusted signed it.
    ReleaseRejected,
    /// Of a release something could not be said: nobody's signatures count, or an environment runs what it lacks.
    ReleaseNotVerified,
    /// An environment was recorded.
    EnvironmentCreated,
    /// What an environment runs or requires was changed.
    EnvironmentChanged,
    /// A release was seen to run in an environment.
    EnvironmentObserved,
    /// Another release is to run in an environment.
    EnvironmentDesiredChanged,
    /// A release was asked for in an environment.
    PromotionAsked,
    /// What was asked for was approved.
    PromotionApproved,
    /// What was asked for was refused.
    PromotionRejected,
    /// What was asked for was taken back.
    PromotionWithdrawn,
    /// An API token was made.
    TokenCreated,
    /// An API token was revoked.
    TokenRevoked,
    /// A job was given up, and waits for a person.
    JobDead,
    /// A person gave a dead job its attempts back.
    JobRequeued,
    /// A person removed a dead job.
    JobDiscarded,
}

impl Kind {
    /// Every kind, with its name.
    pub const ALL: &[(Self, &str)] = &[
        (Self::ReleaseRecorded, "release.recorded"),
        (Self::ReleaseVerified, "release.verified"),
        (Self::ReleaseRejected, "release.rejected"),
        (Self::ReleaseNotVerified, "release.not_verified"),
        (Self::EnvironmentCreated, "environment.created"),
        (Self::EnvironmentChanged, "environment.changed"),
        (Self::EnvironmentObserved, "environment.observed"),
        (Self::EnvironmentDesiredChanged, "environment.desired_changed"),
        (Self::PromotionAsked, "promotion.asked"),
        (Self::PromotionApproved, "promotion.approved"),
        (Self::PromotionRejected, "promotion.rejected"),
        (Self::PromotionWithdrawn, "promotion.withdrawn"),
        (Self::TokenCreated, "token.created"),
        (Self::TokenRevoked, "token.revoked"),
        (Self::JobDead, "job.dead"),
        (Self::JobRequeued, "job.requeued"),
        (Self::JobDiscarded, "job.discarded"),
    ];

    /// Its name, as noun and past participle: `release.recorded`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}
