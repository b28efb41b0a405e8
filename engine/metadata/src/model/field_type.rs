//! The closed list of the 49 field types.

use serde::{Deserialize, Serialize};

macro_rules! field_types {
    ($($variant:ident $name:literal,)*) => {
        /// A field type of ObjectStack 17.4. Closed: an unknown type is an error of the loader.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum FieldType { $($variant,)* }

        impl FieldType {
            /// All 49 types in the reference's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in metadata, such as `master_detail`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

field_types! {
    Text "text",
    Textarea "textarea",
    Markdown "markdown",
    Html "html",
    Richtext "richtext",
    Code "code",
    Email "email",
    Url "url",
    Phone "phone",
    Password "password",
    Secret "secret",
    Signature "signature",
    Qrcode "qrcode",
    Color "color",
    Number "number",
    Currency "currency",
    Percent "percent",
    Rating "rating",
    Slider "slider",
    Progress "progress",
    Boolean "boolean",
    Toggle "toggle",
    Date "date",
    Datetime "datetime",
    Time "time",
    Select "select",
    Radio "radio",
    Multiselect "multiselect",
    Checkboxes "checkboxes",
    Tags "tags",
    Lookup "lookup",
    MasterDetail "master_detail",
    Tree "tree",
    User "user",
    Image "image",
    File "file",
    Avatar "avatar",
    Video "video",
    Audio "audio",
    Location "location",
    Address "address",
    Json "json",
    Composite "composite",
    Record "record",
    Repeater "repeater",
    Vector "vector",
    Formula "formula",
    Summary "summary",
    Autonumber "autonumber",
}

impl FieldType {
    /// Whether a source has a column for it. Only `formula` has none; `summary` is stored.
    #[must_use]
    pub const fn stored(self) -> bool {
        !matches!(self, Self::Formula)
    }

    /// Whether its value is the id of another record (or a list of ids).
    #[must_use]
    pub const fn is_reference(self) -> bool {
        matches!(self, Self::Lookup | Self::MasterDetail | Self::Tree | Self::User)
    }

    /// Whether reads never give the value: `password` and `secret` answer eight bullets to everybody.
    #[must_use]
    pub const fn always_masked(self) -> bool {
        matches!(self, Self::Password | Self::Secret)
    }

    /// Whether the value is a list whatever `multiple` says.
    #[must_use]
    pub const fn always_list(self) -> bool {
        matches!(self, Self::Multiselect | Self::Checkboxes | Self::Tags)
    }

    /// Whether `multiple: true` makes the value a list. `radio` is not among them: the vendor refuses it.
    #[must_use]
    pub const fn may_be_multiple(self) -> bool {
        matches!(self, Self::Select | Self::Lookup | Self::User | Self::Image | Self::File) || self.always_list()
    }
}
