package nfc_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/nfc"
)

func TestString(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"plain":                        "plain",
		"Zoe\u0308":                    "Zoë",
		"Zoë":                          "Zoë",
		"a\u0323\u0307":                "ạ\u0307",
		"a\u0307\u0323":                "ạ\u0307", // the order of marks is not meant
		"\u1112\u1161\u11ab":           "한",
		"\u212b":                       "Å",                          // the ångström sign
		"ﬁ ² ½":                        "ﬁ ² ½",                      // which only NFKC changes
		"👩\u200d⚕\ufe0f می\u200cروم":   "👩\u200d⚕\ufe0f می\u200cروم", // joiners stay
		"\xff e\u0301":                 "\xff é",
		"\u0958":                       "\u0915\u093c", // some have no composed form
		"x" + strings.Repeat("é", 100): "x" + strings.Repeat("é", 100),
	} {
		if got := nfc.String(text); got != want {
			t.Errorf("%+q is %+q, want %+q", text, got, want)
		}
		if got := nfc.Is(text); got != (text == want) {
			t.Errorf("%+q is NFC: %t", text, got)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.String().Draw(r, "text")
		once := nfc.String(text)
		if !nfc.Is(once) || nfc.String(once) != once {
			r.Fatalf("%+q becomes %+q", text, once)
		}
	})
}

func BenchmarkIs(b *testing.B) {
	for name, text := range map[string]string{
		"ascii": strings.Repeat("plain text ", 10), "composed": strings.Repeat("Zoë, größer ", 10),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if !nfc.Is(text) {
					b.Fatal(text)
				}
			}
		})
	}
}
