//! Whether a thing can be bought, in the words of schema.org.

/// Beginnings of what schema.org and its neighbours write, without case and punctuation.
const STATES: &[(&str, &str)] = &[
    ("instock", "InStock"),
    ("outofstock", "OutOfStock"),
    ("oos", "OutOfStock"),
    ("soldout", "SoldOut"),
    ("preorder", "PreOrder"),
    ("presale", "PreSale"),
    ("backorder", "BackOrder"),
    ("discontinued", "Discontinued"),
    ("limitedavailability", "LimitedAvailability"),
    ("onlineonly", "OnlineOnly"),
    ("instoreonly", "InStoreOnly"),
    ("unavailable", "OutOfStock"),
    ("notavailable", "OutOfStock"),
    ("available", "InStock"),
    ("true", "InStock"),
    ("false", "OutOfStock"),
    ("yes", "InStock"),
    ("no", "OutOfStock"),
];

/// What people write when it can't be bought.
const GONE: &[&str] = &[
    "out of stock",
    "sold out",
    "not available",
    "currently unavailable",
    "no longer available",
    "unavailable",
    "out-of-stock",
    "not in stock",
    "ausverkauft",
    "nicht verfügbar",
    "nicht auf lager",
    "nicht lieferbar",
    "nicht mehr verfügbar",
    "vergriffen",
    "derzeit nicht",
    "rupture de stock",
    "indisponible",
    "épuisé",
    "en rupture",
    "non disponible",
    "agotado",
    "sin stock",
    "no disponible",
    "esaurito",
    "indisponível",
    "esgotado",
    "sem stock",
    "uitverkocht",
    "niet op voorraad",
    "niet leverbaar",
    "udsolgt",
    "ikke på lager",
    "slutsåld",
    "ej i lager",
    "utsolgt",
    "loppu",
    "ei saatavilla",
    "brak w magazynie",
    "niedostępny",
    "wyprzedane",
    "produkt niedostępny",
    "chwilowo niedostępny",
    "vyprodáno",
    "není skladem",
    "nedostupné",
    "нет в наличии",
    "распродано",
    "немає в наявності",
    "под заказ нет",
    "stokta yok",
    "tükendi",
    "nincs raktáron",
    "elfogyott",
    "stoc epuizat",
    "indisponibil",
    "rasprodano",
    "nije dostupno",
    "nema na zalihi",
    "εξαντλημένο",
    "売り切れ",
    "在庫なし",
    "品切れ",
    "缺货",
    "已售完",
    "售罄",
    "품절",
    "غير متوفر",
    "נגמר",
    "fuera de stock",
    "nie je skladom",
    "vypredané",
    "nedostupný",
    "ni na zalogi",
    "razprodano",
    "išparduota",
    "läbi müüdud",
    "нет на складе",
    "δεν είναι διαθέσιμο",
    "hết hàng",
    "stok habis",
    "สินค้าหมด",
    "אזל",
    "نفد",
];

/// What people write when it can.
const THERE: &[&str] = &[
    "in stock",
    "in-stock",
    "available",
    "ready to ship",
    "ships today",
    "ships in",
    "auf lager",
    "lieferbar",
    "verfügbar",
    "sofort lieferbar",
    "lagernd",
    "vorrätig",
    "en stock",
    "disponible",
    "disponibile",
    "disponível",
    "em stock",
    "em estoque",
    "op voorraad",
    "leverbaar",
    "på lager",
    "i lager",
    "varastossa",
    "saatavilla",
    "dostępny",
    "w magazynie",
    "na stanie",
    "skladem",
    "na sklade",
    "dostupné",
    "в наличии",
    "есть в наличии",
    "в наявності",
    "є в наявності",
    "stokta var",
    "stokta mevcut",
    "raktáron",
    "készleten",
    "în stoc",
    "in stoc",
    "na zalihi",
    "dostupno",
    "na lageru",
    "διαθέσιμο",
    "在庫あり",
    "有货",
    "재고 있음",
    "متوفر",
    "במלאי",
    "na zalihama",
    "skladom",
    "na skladě",
    "na zalogi",
    "laos olemas",
    "ir noliktavā",
    "còn hàng",
    "stok tersedia",
    "มีสินค้า",
];

/// What buttons say that put a thing into the cart.
const BUY: &[&str] = &[
    "add to cart",
    "add to basket",
    "add to bag",
    "add to trolley",
    "buy now",
    "buy it now",
    "place bid",
    "in den warenkorb",
    "in den einkaufswagen",
    "jetzt kaufen",
    "ajouter au panier",
    "acheter",
    "añadir al carrito",
    "añadir a la cesta",
    "agregar al carrito",
    "comprar",
    "aggiungi al carrello",
    "acquista",
    "adicionar ao carrinho",
    "in winkelwagen",
    "in winkelmand",
    "bestellen",
    "læg i kurv",
    "lägg i varukorg",
    "köp",
    "legg i handlekurv",
    "kjøp",
    "lisää ostoskoriin",
    "do koszyka",
    "dodaj do koszyka",
    "kup teraz",
    "do košíku",
    "do košíka",
    "kúpiť",
    "koupit",
    "vložit do košíku",
    "přidat do košíku",
    "в корзину",
    "купить",
    "добавить в корзину",
    "в кошик",
    "купити",
    "sepete ekle",
    "satın al",
    "kosárba",
    "adaugă în coș",
    "adauga in cos",
    "dodaj u košaricu",
    "dodaj u korpu",
    "u košaricu",
    "στο καλάθι",
    "カートに入れる",
    "加入购物车",
    "장바구니",
    "أضف إلى السلة",
    "הוסף לסל",
    "in den korb",
    "ajouter au sac",
    "añadir al carro",
    "agregar al carro",
    "v košarico",
    "į krepšelį",
    "lisa ostukorvi",
    "pievienot grozam",
    "thêm vào giỏ",
    "tambah ke keranjang",
    "หยิบใส่ตะกร้า",
    "加入購物車",
];

/// The state that a text speaks of: one of schema.org's.
pub(crate) fn of_text(text: &str) -> Option<&'static str> {
    let tail = text.trim().rsplit('/').next().unwrap_or(text);
    let plain: String =
        tail.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if let Some((_, state)) = STATES.iter().find(|(word, _)| *word == plain) {
        return Some(state);
    }
    if let Ok(count) = plain.parse::<u32>() {
        return Some(if count > 0 { "InStock" } else { "OutOfStock" });
    }
    of_phrase(text)
}

/// The state that a short text of the page speaks of.
pub(crate) fn of_phrase(text: &str) -> Option<&'static str> {
    if text.len() > 120 {
        return None;
    }
    let lower = text.to_lowercase();
    if GONE.iter().any(|word| lower.contains(word)) {
        return Some("OutOfStock");
    }
    if ["pre-order", "preorder", "vorbestell", "précommande", "предзаказ", "förbeställ"]
        .iter()
        .any(|word| lower.contains(word))
    {
        return Some("PreOrder");
    }
    THERE.iter().any(|word| lower.contains(word)).then_some("InStock")
}

/// Whether a button's text puts a thing into the cart.
pub(crate) fn buys(text: &str) -> bool {
    let lower = text.to_lowercase();
    text.len() <= 60 && BUY.iter().any(|word| lower.contains(word))
}

/// Whether the state means that it can be had.
pub(crate) fn is_there(state: &str) -> bool {
    !matches!(state, "OutOfStock" | "SoldOut" | "Discontinued")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_by_machines_and_people() {
        for (text, state) in [
            ("http://schema.org/InStock", Some("InStock")),
            ("in stock", Some("InStock")),
            ("Derzeit nicht verfügbar", Some("OutOfStock")),
            ("Auf Lager", Some("InStock")),
            ("3", Some("InStock")),
            ("0", Some("OutOfStock")),
            ("Нет в наличии", Some("OutOfStock")),
            ("maybe", None),
        ] {
            assert_eq!(of_text(text), state, "{text}");
        }
        assert!(buys("Add to cart") && !buys("Cart"));
        assert!(is_there("PreOrder") && !is_there("SoldOut"));
    }
}
