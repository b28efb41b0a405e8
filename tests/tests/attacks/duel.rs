//! The governed company beside its reduced copy, and assertions about what tells them apart.

use querygate_tests::harness::{Answer, Client, Company, Layout, TestGate};

/// The analyst in front of both, on one layout.
pub(crate) struct Duel {
    pub(crate) layout: Layout,
    pub(crate) company: Company,
    pub(crate) iris: Client,
    open: Client,
    _open_gate: TestGate,
}

impl Duel {
    pub(crate) fn new(layout: Layout) -> Self {
        let company = Company::new(layout);
        let open_gate = TestGate::new(&Company::reduced(), layout);
        Self {
            layout,
            iris: company.iris(),
            open: open_gate.client(&Company::analyst()),
            company,
            _open_gate: open_gate,
        }
    }

    /// Runs a test on every layout.
    pub(crate) fn each(test: impl Fn(&Self)) {
        for layout in Layout::ALL {
            test(&Self::new(layout));
        }
    }

    /// The analyst's answer, which tells nothing apart from the reduced copy's: same rows, or the same error.
    pub(crate) fn same(&self, sql: &str) -> Answer {
        let got = self.silent(sql);
        let expected = self.open.run(sql);
        assert_eq!(got.clone().sorted().text(), expected.sorted().text(), "{:?}: {sql}", self.layout);
        got
    }

    /// As [`Self::same`], for statements that the engine cannot plan over several partitions: sorting by a comparison or
    /// CASE of a function ends in XX000 there, with or without a policy. That tells nothing.
    pub(crate) fn same_unless_unplanned(&self, sql: &str) {
        if self.silent(sql).code() != Some("XX000") {
            self.same(sql);
        }
    }

    /// As [`Self::same`], and it succeeds with so many rows.
    pub(crate) fn rows(&self, sql: &str, count: usize) -> Answer {
        let got = self.same(sql);
        assert!(got.code().is_none(), "{:?}: {sql}\n{got}", self.layout);
        assert_eq!(got.table().len(), count, "{:?}: {sql}\n{got}", self.layout);
        got
    }

    /// As [`Self::same`], and it is refused with this code.
    pub(crate) fn refused(&self, sql: &str, code: &str) {
        let got = self.same(sql);
        assert_eq!(got.code(), Some(code), "{:?}: {sql}\n{got}", self.layout);
    }

    /// The analyst's answer, in which no hidden value or name stands.
    pub(crate) fn silent(&self, sql: &str) -> Answer {
        let answers = self.iris.run_all(sql);
        for answer in &answers {
            assert_silent(sql, &answer.text());
        }
        answers
            .into_iter()
            .rfind(|answer| !matches!(answer, Answer::Notice(_)))
            .unwrap_or(Answer::Command(String::new()))
    }
}

/// Nothing hidden stands in a text, except what the attacker said first.
pub(crate) fn assert_silent(sql: &str, text: &str) {
    for hidden in [Company::SENTINEL, "secret_code", "zone_code", "zone-n", "zone-s", "payroll", "iban", "northern"] {
        assert!(
            sql.to_lowercase().contains(&hidden.to_lowercase()) || !text.contains(hidden),
            "{sql} tells {hidden}:\n{text}"
        );
    }
}
