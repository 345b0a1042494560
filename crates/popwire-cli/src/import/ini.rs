//! Files of sections with `name = value` lines, as Python's configparser and Mozilla's profiles.ini have them.

/// A section; names and values are as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) values: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) line: usize,
    /// In lower case.
    pub(super) name: String,
    /// With the lines that go on with it.
    pub(super) value: String,
}

impl Section {
    /// The value of this name; the last one, if there are several.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rfind(|value| value.name == name).map(|value| value.value.as_str())
    }

    pub(super) fn line_of(&self, name: &str) -> usize {
        self.values.iter().rfind(|value| value.name == name).map_or(self.line, |value| value.line)
    }
}

/// All sections, in order; or the number of a line that makes no sense.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, usize> {
    let mut sections: Vec<Section> = Vec::new();
    for (line, written) in (1..).zip(text.lines()) {
        let content = written.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let goes_on = written.starts_with([' ', '\t']);
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
            && !goes_on
        {
            sections.push(Section { name: name.to_owned(), line, values: Vec::new() });
            continue;
        }
        let section = sections.last_mut().ok_or(line)?;
        match (goes_on, section.values.last_mut()) {
            (true, Some(last)) => {
                last.value.push('\n');
                last.value.push_str(content);
            }
            _ => {
                let (name, value) = content.split_once(['=', ':']).ok_or(line)?;
                section.values.push(Value {
                    line,
                    name: name.trim().to_ascii_lowercase(),
                    value: value.trim().to_owned(),
                });
            }
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_and_lines_that_go_on() {
        let found =
            sections("# x\n[a]\nName: v = 1\n; y\nlist = (\n  'b',\n  # no\n  'c')\n[b]\nx=\n").unwrap();
        assert_eq!(found[0].get("name"), Some("v = 1"));
        assert_eq!(found[0].get("list"), Some("(\n'b',\n'c')"));
        assert_eq!((found[0].line_of("list"), found[1].get("x"), found[1].get("y")), (5, Some(""), None));
        assert_eq!(sections("x = 1"), Err(1));
        assert_eq!(sections("[a]\n\nnonsense"), Err(3));
    }
}
