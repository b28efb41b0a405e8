//! Small schemas, by short names. Knows no route.

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, SchemaFormat, SchemaType};
use utoipa::openapi::{Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Ref, RefOr, Schema, Type};

/// A schema, or the name of one.
pub(super) type Shape = RefOr<Schema>;

pub(super) fn of(kind: Type) -> ObjectBuilder {
    Object::builder().schema_type(kind)
}

/// Values of a type, or null.
pub(super) fn nullable(kind: Type) -> ObjectBuilder {
    Object::builder().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

pub(super) fn text() -> ObjectBuilder {
    of(Type::String)
}

pub(super) fn flag() -> ObjectBuilder {
    of(Type::Boolean)
}

pub(super) fn count() -> ObjectBuilder {
    of(Type::Integer)
}

pub(super) fn object() -> ObjectBuilder {
    of(Type::Object)
}

/// An object with these keys and no others.
pub(super) fn closed(keys: impl IntoIterator<Item = (&'static str, Shape)>) -> ObjectBuilder {
    with(object(), keys).additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

/// A schema with these keys besides.
pub(super) fn with(builder: ObjectBuilder, keys: impl IntoIterator<Item = (&'static str, Shape)>) -> ObjectBuilder {
    keys.into_iter().fold(builder, |builder, (name, shape)| builder.property(name, shape))
}

pub(super) fn requires(builder: ObjectBuilder, names: &[&str]) -> ObjectBuilder {
    names.iter().fold(builder, |builder, name| builder.required(*name))
}

/// Any value at all.
pub(super) fn any() -> ObjectBuilder {
    Object::builder().schema_type(SchemaType::AnyValue)
}

pub(super) fn list(items: impl Into<Shape>) -> ArrayBuilder {
    Array::builder().items(items.into())
}

pub(super) fn one_of<S: Into<Shape>>(shapes: impl IntoIterator<Item = S>) -> Shape {
    shapes.into_iter().fold(AnyOfBuilder::new(), |any, shape| any.item(shape)).into()
}

/// One of these texts.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

/// Exactly this value.
pub(super) fn only(value: impl Into<Value>) -> ObjectBuilder {
    any().enum_values(Some([value.into()]))
}

pub(super) fn formatted(builder: ObjectBuilder, format: KnownFormat) -> ObjectBuilder {
    builder.format(Some(SchemaFormat::KnownFormat(format)))
}

/// The schema of this name.
pub(super) fn named(name: impl Into<String>) -> Shape {
    RefOr::Ref(Ref::from_schema_name(name))
}
