//! Which `Host` and `Origin` a server answers.
/// stub
#[derive(Clone, Debug, Default)]
pub struct Access {}
impl Access {
    /// stub
    #[must_use]
    pub fn allow_host(self, _host: impl Into<String>) -> Self {
        self
    }
    /// stub
    #[must_use]
    pub fn allow_origin(self, _origin: impl Into<String>) -> Self {
        self
    }
}
