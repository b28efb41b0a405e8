//! Lists of values that others keep: time zones, currencies, countries. Knows no field.

use querygate_metadata::model::ValueDomain;

/// ISO 3166-1, alpha-2.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV \
    BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU \
    MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB \
    SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY \
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// ISO 4217, active codes.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN \
    BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
    GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG \
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH \
    UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XDR XOF XPF XSU XUA YER ZAR ZMW ZWG";

/// Whether a text is a value of the domain.
pub(in crate::rules) fn holds(domain: ValueDomain, text: &str) -> bool {
    let listed = |list: &str| list.split_ascii_whitespace().any(|known| known == text);
    match domain {
        ValueDomain::TimeZone => text.parse::<chrono_tz::Tz>().is_ok(),
        ValueDomain::Currency => listed(CURRENCIES),
        ValueDomain::Country => listed(COUNTRIES),
    }
}

/// What a value of the domain is, with an example.
pub(in crate::rules) const fn describe(domain: ValueDomain) -> &'static str {
    match domain {
        ValueDomain::TimeZone => "IANA time zone identifier, e.g. Europe/Zurich",
        ValueDomain::Currency => "ISO 4217 currency code, e.g. EUR",
        ValueDomain::Country => "ISO 3166-1 alpha-2 country code, e.g. CH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        for (domain, good, bad) in [
            (ValueDomain::TimeZone, "Europe/Zurich", "Mars/Base"),
            (ValueDomain::Currency, "CHF", "chf"),
            (ValueDomain::Country, "CH", "CHE"),
        ] {
            assert!(holds(domain, good), "{good}");
            assert!(!holds(domain, bad) && !holds(domain, ""), "{bad}");
        }
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 249);
    }
}
