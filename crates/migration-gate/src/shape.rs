//! What a query takes and gives, as sqlx's `describe` says it: columns, their types and nullability, parameters.

use serde_json::Value;

/// What the Rust code was compiled against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) columns: Vec<Column>,
    pub(crate) parameters: Vec<Type>,
}

/// One column of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// With sqlx's own marks, such as `id!`.
    pub(crate) name: String,
    pub(crate) is: Type,
    /// Only what is known not to be null is decoded as such.
    pub(crate) nullable: bool,
    /// Table and column that it comes from, where it comes from one.
    pub(crate) origin: Option<(String, String)>,
}

/// A type of the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Type {
    /// As SQL spells it.
    pub(crate) name: String,
    /// The labels of an enum, also of one inside an array or a domain.
    pub(crate) labels: Vec<String>,
    /// The fields of a composite type.
    pub(crate) fields: Vec<(String, String)>,
}

impl Shape {
    /// Whether the code would notice no difference.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let seen = |it: &Column| (it.name.clone(), it.is.clone(), it.nullable);
        self.parameters == other.parameters
            && self.columns.iter().map(seen).eq(other.columns.iter().map(seen))
    }

    /// Whether there is nothing to compare.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.parameters.is_empty()
    }

    /// Reads `describe` of a prepared query; nothing where it is no description.
    pub(crate) fn of(describe: &Value) -> Option<Self> {
        let nullable = describe["nullable"].as_array()?;
        let column = |(ordinal, column): (usize, &Value)| {
            Some(Column {
                name: column["name"].as_str()?.into(),
                is: Type::of(&column["type_info"])?,
                nullable: nullable.get(ordinal).and_then(Value::as_bool).unwrap_or(true),
                origin: origin(&column["origin"]["Table"]),
            })
        };
        let columns =
            describe["columns"].as_array()?.iter().enumerate().map(column).collect::<Option<_>>()?;
        let parameters = match describe["parameters"]["Left"].as_array() {
            Some(types) => types.iter().map(Type::of).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        Some(Self { columns, parameters })
    }
}

impl Column {
    /// Whether the code has said itself that it decodes text, as in `kind: String`.
    pub(crate) fn is_forced_text(&self) -> bool {
        let decoded = self.name.split_once(':').map(|(_, it)| it.trim());
        decoded.is_some_and(|it| ["String", "Option<String>", "Vec<String>"].contains(&it))
    }

    /// Whether the code has said itself that it takes a null, as in `note?` or `note?: Note`.
    pub(crate) fn is_forced_nullable(&self) -> bool {
        self.name.split(':').next().unwrap_or_default().trim_end().ends_with('?')
    }
}

impl Type {
    fn of(value: &Value) -> Option<Self> {
        if let Some(name) = value.as_str() {
            return Some(Self { name: built_in(name), labels: Vec::new(), fields: Vec::new() });
        }
        if let Some(name) = value["DeclareWithName"].as_str() {
            return Some(Self { name: name.into(), labels: Vec::new(), fields: Vec::new() });
        }
        let custom = &value["Custom"];
        let name = custom["name"].as_str()?.to_owned();
        let kind = &custom["kind"];
        let inner = ["Array", "Domain", "Range"].iter().find_map(|it| Self::of(&kind[*it]));
        let own = kind["Enum"]
            .as_array()
            .map(|labels| labels.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>());
        let field = |pair: &Value| Some((pair[0].as_str()?.to_owned(), Self::of(&pair[1])?.name));
        let fields = kind["Composite"].as_array().map(|it| it.iter().filter_map(field).collect());
        let (labels, inner_fields) = inner.map(|it| (it.labels, it.fields)).unwrap_or_default();
        Some(Self { name, labels: own.unwrap_or(labels), fields: fields.unwrap_or(inner_fields) })
    }

    /// Whether bytes of one are read as a Rust string like bytes of the other.
    pub(crate) fn is_text(&self) -> bool {
        ["text", "varchar", "bpchar", "name"].contains(&self.name.trim_end_matches("[]"))
    }
}

fn origin(table: &Value) -> Option<(String, String)> {
    Some((table["table"].as_str()?.into(), table["name"].as_str()?.into()))
}

/// sqlx's name of a type of Postgres' own, such as `TimestamptzArray`, as SQL spells it.
fn built_in(name: &str) -> String {
    let (element, array) = match name.strip_suffix("Array") {
        Some(element) => (element, "[]"),
        None => (name, ""),
    };
    // `char` alone is another type.
    let element = if element == "Char" { "\"char\"".into() } else { element.to_lowercase() };
    element + array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_spelled_as_sql_does() {
        for (name, sql) in [("Int4", "int4"), ("TstzRangeArray", "tstzrange[]"), ("Char", "\"char\"")] {
            assert_eq!(built_in(name), sql);
        }
    }

    #[test]
    fn an_enum_is_its_labels_also_inside_an_array() {
        let mood = r#"{"Custom":{"name":"mood","kind":{"Enum":["glad","sad"]}}}"#;
        let array = format!(r#"{{"Custom":{{"name":"mood[]","kind":{{"Array":{mood}}}}}}}"#);
        let read = |json: &str| Type::of(&serde_json::from_str(json).unwrap()).unwrap();

        assert_eq!(read(mood).labels, ["glad", "sad"]);
        assert_eq!((read(&array).name.as_str(), read(&array).labels), ("mood[]", read(mood).labels));
    }
}
