//! An extension, and the extensions of one gate: what they have, by name.

use super::hook::NativeHook;
use super::manifest::{Kind, Manifest};
use super::mask::NativeMask;
use super::registration::Registration;
use super::resolve::{self, Offer};
use super::source::NativeSource;
use super::validation::NativeValidation;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

type Start = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// What one author adds to a gate.
pub struct Extension {
    pub(crate) manifest: Manifest,
    pub(crate) hooks: Vec<(String, Arc<dyn NativeHook>)>,
    pub(crate) validations: Vec<(String, Arc<dyn NativeValidation>)>,
    pub(crate) masks: Vec<(String, Arc<dyn NativeMask>)>,
    pub(crate) sources: Vec<(String, Arc<dyn NativeSource>)>,
    start: Option<Start>,
}

impl Extension {
    /// One that has nothing yet.
    #[must_use]
    pub fn new(manifest: Manifest) -> Self {
        Self {
            manifest,
            hooks: Vec::new(),
            validations: Vec::new(),
            masks: Vec::new(),
            sources: Vec::new(),
            start: None,
        }
    }

    /// Adds a hook, which metadata names as `handler: native:NAME`.
    #[must_use]
    pub fn hook(mut self, name: impl Into<String>, hook: impl NativeHook + 'static) -> Self {
        self.hooks.push((name.into(), Arc::new(hook)));
        self
    }

    /// Adds a validation, which metadata names as `type: native:NAME`.
    #[must_use]
    pub fn validation(mut self, name: impl Into<String>, validation: impl NativeValidation + 'static) -> Self {
        self.validations.push((name.into(), Arc::new(validation)));
        self
    }

    /// Adds a mask, which metadata names as `maskingRule: native:NAME`.
    #[must_use]
    pub fn mask(mut self, name: impl Into<String>, mask: impl NativeMask + 'static) -> Self {
        self.masks.push((name.into(), Arc::new(mask)));
        self
    }

    /// Adds a kind of sources, which the configuration names as `kind = "native:NAME"`.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>, source: impl NativeSource + 'static) -> Self {
        self.sources.push((name.into(), Arc::new(source)));
        self
    }

    /// What is done when a gate starts, after all that the extension depends on. An error keeps the gate from starting.
    #[must_use]
    pub fn on_start(mut self, start: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        self.start = Some(Box::new(start));
        self
    }

    fn offer(&self) -> Offer<'_> {
        let named = Kind::ALL.into_iter().flat_map(|kind| self.names(kind).into_iter().map(move |name| (kind, name)));
        Offer { manifest: &self.manifest, named: named.collect() }
    }

    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The names of what it has, in the order in which it was added.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        fn of<T: ?Sized>(all: &[(String, Arc<T>)]) -> Vec<&str> {
            all.iter().map(|(name, _)| name.as_str()).collect()
        }
        match kind {
            Kind::Hook => of(&self.hooks),
            Kind::Validation => of(&self.validations),
            Kind::Mask => of(&self.masks),
            Kind::Source => of(&self.sources),
        }
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extension({} {})", self.manifest.name, self.manifest.version)
    }
}

/// The extensions of a gate, in the order in which they start. A clone is the same ones.
#[derive(Clone, Default)]
pub struct Extensions {
    loaded: Arc<Loaded>,
}

#[derive(Default)]
struct Loaded {
    extensions: Vec<Extension>,
    hooks: BTreeMap<String, Registration<dyn NativeHook>>,
    validations: BTreeMap<String, Registration<dyn NativeValidation>>,
    masks: BTreeMap<String, Registration<dyn NativeMask>>,
    sources: BTreeMap<String, Registration<dyn NativeSource>>,
}

impl Extensions {
    /// Puts extensions into an order in which each comes after what it depends on.
    ///
    /// # Errors
    /// Everything that keeps them from being together: names that are none or are taken, dependencies that are not there, are too old
    /// or need each other, conflicts.
    pub fn resolve(extensions: Vec<Extension>) -> Result<Self> {
        let offers: Vec<Offer<'_>> = extensions.iter().map(Extension::offer).collect();
        let order = resolve::order(&offers).map_err(|problems| {
            Error::new(ErrorCode::ConfigInvalid, "the extensions of this binary do not fit together")
                .with_detail(problems.join("; "))
                .with_hint("Extensions are given to the gate where the binary begins.")
        })?;
        let mut slots: Vec<Option<Extension>> = extensions.into_iter().map(Some).collect();
        let ordered = order.into_iter().filter_map(|place| slots.get_mut(place)?.take());
        let mut loaded = Loaded::default();
        for extension in ordered {
            let (name, version) = (extension.manifest.name.as_str(), extension.manifest.version);
            register(&mut loaded.hooks, &extension.hooks, name, version);
            register(&mut loaded.validations, &extension.validations, name, version);
            register(&mut loaded.masks, &extension.masks, name, version);
            register(&mut loaded.sources, &extension.sources, name, version);
            loaded.extensions.push(extension);
        }
        Ok(Self { loaded: Arc::new(loaded) })
    }

    /// Starts them in their order.
    ///
    /// # Errors
    /// The first one's own error, with its name; its panic.
    pub fn start(&self) -> Result<()> {
        for extension in &self.loaded.extensions {
            let Some(start) = &extension.start else { continue };
            let name = &extension.manifest.name;
            let failed = |why: &dyn fmt::Display| {
                Error::new(ErrorCode::ConfigInvalid, format!("the extension \"{name}\" does not start"))
                    .with_detail(why.to_string())
            };
            match super::panic_guard::catch_panic(start) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(&error)),
                Err(_) => return Err(failed(&"it panicked")),
            }
        }
        Ok(())
    }

    /// In the order in which they start.
    pub fn iter(&self) -> impl Iterator<Item = &Extension> {
        self.loaded.extensions.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loaded.extensions.is_empty()
    }

    #[must_use]
    pub fn hook(&self, name: &str) -> Option<&Registration<dyn NativeHook>> {
        self.loaded.hooks.get(name)
    }

    #[must_use]
    pub fn validation(&self, name: &str) -> Option<&Registration<dyn NativeValidation>> {
        self.loaded.validations.get(name)
    }

    #[must_use]
    pub fn mask(&self, name: &str) -> Option<&Registration<dyn NativeMask>> {
        self.loaded.masks.get(name)
    }

    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Registration<dyn NativeSource>> {
        self.loaded.sources.get(name)
    }

    /// All names of a kind, in their order.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        fn of<T: ?Sized>(all: &BTreeMap<String, Registration<T>>) -> Vec<&str> {
            all.keys().map(String::as_str).collect()
        }
        match kind {
            Kind::Hook => of(&self.loaded.hooks),
            Kind::Validation => of(&self.loaded.validations),
            Kind::Mask => of(&self.loaded.masks),
            Kind::Source => of(&self.loaded.sources),
        }
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn register<T: ?Sized>(
    all: &mut BTreeMap<String, Registration<T>>,
    own: &[(String, Arc<T>)],
    extension: &str,
    version: super::manifest::Version,
) {
    for (name, code) in own {
        all.insert(name.clone(), Registration::new(name, extension, version, Arc::clone(code)));
    }
}
