use insta::assert_snapshot;

use super::*;

const CONFIG: &str = "time_zone = 'UTC'\ncurrency = 'EUR'\naccounts = 'accounts.toml'\n[seller]\nname = 'Cloud'\n";

fn errors(text: &str) -> String {
    lines(config(&[("conto.toml", CONFIG), ("accounts.toml", text)]).1)
}

#[test]
fn what_can_be_wrong() {
    assert_snapshot!(each(
        &[
            "[[account]",
            "[[acount]]",
            "[[account]]",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'Germany'\ninternal = 'no'",
            "[[account]]\nid = 'a'\nname = 'A'\nprojects = 'p'",
            "[[account]]\nid = 'a'\nname = 'A'\nprojects = [1, {}, { id = 'p', nam = 'P' }]",
            "[[account]]\nid = 'a'\nname = 'A'\n[[account]]\nid = 'a'\nname = 'B'",
            "[[account]]\nid = 'a'\nname = 'A'\nprojects = ['p', 'p']",
            "[[account]]\nid = 'a'\nname = 'A'\nprojects = ['p']\n[[account]]\nid = 'b'\nname = 'B'\nprojects = ['p']",
        ],
        errors,
    ), @r#"
    [[account]
        accounts::syntax | /etc/conto/accounts.toml:1:11 | not valid TOML: unclosed array table, expected `]`
    [[acount]]
        accounts::unknown_key | /etc/conto/accounts.toml:1:3 | unknown key `acount` in the accounts file | did you mean `account`? (known keys: account)
    [[account]]
        accounts::missing_key | /etc/conto/accounts.toml:1:1 | `id` is missing in an `[[account]]` | add `id = …`
        accounts::missing_key | /etc/conto/accounts.toml:1:1 | `name` is missing in an `[[account]]` | add `name = …`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'Germany' ⏎ internal = 'no'
        accounts::bad_country | /etc/conto/accounts.toml:4:11 | `Germany` is no country code, expected two capital letters | use the code of ISO 3166, such as `FR`
        accounts::wrong_type | /etc/conto/accounts.toml:5:12 | `internal` is text, expected `true` or `false`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ projects = 'p'
        accounts::wrong_type | /etc/conto/accounts.toml:4:12 | `projects` is text, expected an array of projects
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ projects = [1, {}, { id = 'p', nam = 'P' }]
        accounts::wrong_type | /etc/conto/accounts.toml:4:13 | `projects` is an integer, expected the text of an id, or `{ id, name }` | quote it: "1"
        accounts::missing_key | /etc/conto/accounts.toml:4:16 | `id` is missing in a project | add `id = …`
        accounts::unknown_key | /etc/conto/accounts.toml:4:32 | unknown key `nam` in a project | did you mean `name`? (known keys: id, name)
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ [[account]] ⏎ id = 'a' ⏎ name = 'B'
        accounts::duplicate_account | /etc/conto/accounts.toml:5:6, /etc/conto/accounts.toml:2:6 | account `a` is declared twice | make one account of both, or give one another id
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ projects = ['p', 'p']
        accounts::duplicate_project | /etc/conto/accounts.toml:4:18, /etc/conto/accounts.toml:4:13 | project `p` stands twice in account `a` | one account pays for a project; keep it in one place
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ projects = ['p'] ⏎ [[account]] ⏎ id = 'b' ⏎ name = 'B' ⏎ projects = ['p']
        accounts::duplicate_project | /etc/conto/accounts.toml:8:13, /etc/conto/accounts.toml:4:13 | project `p` is in accounts `a` and `b` | one account pays for a project; keep it in one place
    "#);
}

#[test]
fn an_id_that_is_a_uuid_has_no_case() {
    let text = "[[account]]\nid = 'B0'\nname = 'B'\nprojects = ['6BA7B8109DAD11D180B400C04FD430C8']\n\
                [[account]]\nid = '6BA7B810-9DAD-11D1-80B4-00C04FD430C8'\nname = 'A'\n\
                projects = [{ id = 'Web', name = 'The Web' }]\n";
    let (config, diagnostics) = config(&[("conto.toml", CONFIG), ("accounts.toml", text)]);
    assert_eq!(lines(diagnostics), "");
    let accounts = config.unwrap().accounts.accounts;
    let ids: Vec<_> = accounts.iter().map(|account| (account.id.as_str(), account.projects[0].id.as_str())).collect();
    assert_eq!(ids, [("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "Web"), ("B0", "6ba7b8109dad11d180b400c04fd430c8")]);
}
