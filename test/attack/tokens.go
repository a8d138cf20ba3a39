package main

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// forgery is a token that must be admitted nowhere.
type forgery struct {
	name, token string
}

// attackTokens tries every forgery over REST and gRPC, and then valid tokens with unusual subjects.
func attackTokens(ctx context.Context, w *world) error {
	grpcConn, err := w.openGRPC()
	if err != nil {
		return err
	}
	defer grpcConn.Close()
	// Without these, a server that refuses everybody would do.
	for name, token := range w.validTokens() {
		if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/topics", token: token}); a != nil && a.status != http.StatusOK {
			w.tally.faultf("a valid token, %s: %d %s", name, a.status, a.body)
		}
		if code := w.tally.grpc("topics", grpcConn.topics(ctx, "Bearer "+token)); code != codes.OK {
			w.tally.faultf("a valid token, %s, over gRPC: %s", name, code)
		}
	}
	forged := w.forgeries()
	for _, f := range forged {
		for _, path := range []string{"/v1/topics", "/v1/learners/me", "/v1/audit?service=progress"} {
			a := w.sendAndCount(ctx, request{method: http.MethodGet, path: path}.with("Authorization", "Bearer "+f.token))
			if a != nil && a.status != http.StatusUnauthorized && a.status != http.StatusRequestHeaderFieldsTooLarge && a.status != http.StatusTooManyRequests {
				w.tally.faultf("%s, over REST at %s: %d %.100s", f.name, path, a.status, a.body)
			}
		}
		if !printable(f.token) {
			continue // gRPC carries no such metadata
		}
		if code := w.tally.grpc(f.name, grpcConn.topics(ctx, "Bearer "+f.token)); code != codes.Unauthenticated && code != codes.ResourceExhausted {
			w.tally.faultf("%s, over gRPC: %s", f.name, code)
		}
	}
	if len(forged) < 59 {
		w.tally.faultf("only %d forgeries", len(forged))
	}
	w.oddHeaders(ctx)
	return w.oddSubjects(ctx)
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

func (w *world) oidcClaims() members {
	return w.issuer.claims("forger", "admin").with("iss", w.oidc.url, "aud", oidcAudience)
}

func (w *world) validTokens() map[string]string {
	input, signature := w.oidc.es256(members{"alg": "ES256", "kid": "ecdsa"}.json(), w.oidcClaims().json())
	return map[string]string{
		"EdDSA": w.issuer.token("valid", "learner"),
		"RS256": w.oidc.rs256(members{"alg": "RS256", "kid": "rsa"}.json(), w.oidcClaims().json()),
		"ES256": input + "." + encoded(string(signature)),
	}
}

// forgeries are all of them, each of a token that would be an admin's.
func (w *world) forgeries() []forgery {
	var all []forgery
	for _, kind := range []func() []forgery{
		w.unsigned, w.symmetric, w.wrongClaims, w.wrongTimes, w.ownKeys, w.wrongHeaders, w.wrongSignatures, w.wrongForms, w.elliptic,
	} {
		all = append(all, kind()...)
	}
	return all
}

func (w *world) unsigned() []forgery {
	var all []forgery
	claims := w.issuer.claims("forger", "admin").json()
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "null"} {
		input := encoded(members{"alg": alg, "kid": w.issuer.keyID, "typ": "JWT"}.json()) + "." + encoded(claims)
		all = append(all, forgery{"alg " + alg + " without signature", input + "."})
	}
	valid := strings.Split(w.issuer.token("forger", "admin"), ".")
	none := encoded(members{"alg": "none"}.json())
	return append(all,
		forgery{"alg none with a signature", none + "." + valid[1] + "." + valid[2]},
		forgery{"alg none in two parts", none + "." + valid[1]},
		forgery{"no header at all", "." + valid[1] + "." + valid[2]},
		forgery{"a header of null", encoded("null") + "." + valid[1] + "." + valid[2]},
		forgery{"a signature of nothing", valid[0] + "." + valid[1] + "."},
	)
}

// symmetric are tokens whose secret is a public key.
func (w *world) symmetric() []forgery {
	var all []forgery
	add := func(name, alg, keyID string, secret []byte, claims members) {
		input := encoded(members{"alg": alg, "kid": keyID, "typ": "JWT"}.json()) + "." + encoded(claims.json())
		mac := hmac.New(sha256.New, secret)
		if alg == "HS512" {
			mac = hmac.New(sha512.New, secret)
		}
		mac.Write([]byte(input))
		all = append(all, forgery{name, input + "." + encoded(string(mac.Sum(nil)))})
	}
	local := w.issuer.claims("forger", "admin")
	der, err := x509.MarshalPKIXPublicKey(w.issuer.public())
	jwk, errJWK := json.Marshal(jose.JSONWebKey{Key: w.issuer.public()})
	rsaDER, errRSA := x509.MarshalPKIXPublicKey(w.oidc.rsa.Public())
	if err != nil || errJWK != nil || errRSA != nil {
		return nil // then there are too few
	}
	add("HS256 with the public key", "HS256", w.issuer.keyID, w.issuer.public(), local)
	add("HS256 with the public key in DER", "HS256", w.issuer.keyID, der, local)
	add("HS256 with the public key in PEM", "HS256", w.issuer.keyID, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), local)
	add("HS256 with the public key as JWK", "HS256", w.issuer.keyID, jwk, local)
	add("HS512 with the public key", "HS512", w.issuer.keyID, w.issuer.public(), local)
	add("HS256 with the key id", "HS256", w.issuer.keyID, []byte(w.issuer.keyID), local)
	add("HS256 with an empty secret", "HS256", w.issuer.keyID, nil, local)
	add("HS256 with the provider's RSA key in PEM", "HS256", "rsa", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: rsaDER}), w.oidcClaims())
	return all
}

func (w *world) wrongClaims() []forgery {
	i, claims := w.issuer, w.issuer.claims("forger", "admin")
	signed := func(name string, pairs ...any) forgery {
		return forgery{name, i.sign(i.header().json(), claims.with(pairs...).json())}
	}
	twice := strings.TrimSuffix(claims.json(), "}")
	return []forgery{
		signed("another issuer", "iss", "https://evil.example"),
		signed("the issuer with a slash", "iss", localName+"/"),
		signed("the issuer in capitals", "iss", strings.ToUpper(localName)),
		signed("the issuer with a zero-width space", "iss", localName+"\u200b"),
		signed("no issuer", "iss", nil),
		signed("an issuer of null", "iss", json.RawMessage("null")),
		signed("a list of issuers", "iss", []string{localName}),
		signed("the provider's issuer, signed by the local one", "iss", w.oidc.url, "aud", oidcAudience),
		signed("another audience", "aud", "other"),
		signed("no audience", "aud", nil),
		signed("an empty audience", "aud", ""),
		signed("an audience of an empty list", "aud", []string{}),
		signed("the audience with a space", "aud", "preceptor "),
		signed("the provider's audience", "aud", oidcAudience),
		signed("no subject", "sub", nil),
		signed("an empty subject", "sub", ""),
		signed("a subject of a number", "sub", 7),
		signed("a subject of a list", "sub", []string{"forger"}),
		signed("a subject with NUL", "sub", "forger\x00"),
		signed("a subject of 256 bytes", "sub", strings.Repeat("a", 256)),
		{"claims of a list", i.sign(i.header().json(), "["+claims.json()+"]")},
		{"claims of a text", i.sign(i.header().json(), `"forger"`)},
		{"no claims", i.sign(i.header().json(), "{}")},
		{"claims that are not JSON", i.sign(i.header().json(), "{")},
		{"claims in UTF-16", i.sign(i.header().json(), "\xff\xfe{\x00}\x00")},
		{"claims of two objects", i.sign(i.header().json(), claims.json()+claims.json())},
		{"the issuer twice, the wrong one last", i.sign(i.header().json(), twice+`,"iss":"https://evil.example"}`)},
		{"the audience twice, the wrong one last", i.sign(i.header().json(), twice+`,"aud":"other"}`)},
		{"the end twice, the past last", i.sign(i.header().json(), twice+`,"exp":1}`)},
	}
}

func (w *world) wrongTimes() []forgery {
	i, claims, now := w.issuer, w.issuer.claims("forger", "admin"), testenv.Now()
	signed := func(name string, pairs ...any) forgery {
		return forgery{name, i.sign(i.header().json(), claims.with(pairs...).json())}
	}
	return []forgery{
		signed("expired", "exp", now.Add(-time.Hour).Unix()),
		signed("expired long ago", "exp", 1),
		signed("an end of 0", "exp", 0),
		signed("a negative end", "exp", -1),
		signed("no end", "exp", nil),
		signed("an end of null", "exp", json.RawMessage("null")),
		signed("an end that is a text", "exp", now.AddDate(1, 0, 0).Format(time.RFC3339)),
		signed("an end of infinity", "exp", json.RawMessage("1e400")),
		signed("an end of a list", "exp", []int64{now.AddDate(1, 0, 0).Unix()}),
		signed("not valid yet", "nbf", now.Add(time.Hour).Unix()),
		signed("valid after its end", "nbf", now.AddDate(200, 0, 0).Unix()),
		signed("issued tomorrow", "iat", now.AddDate(0, 0, 1).Unix()),
	}
}

// ownKeys are tokens that bring the key which they are signed with, or say where it is.
func (w *world) ownKeys() []forgery {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil
	}
	other := &issuer{private, w.issuer.keyID}
	jwk := members{"kty": "OKP", "crv": "Ed25519", "x": encoded(string(public)), "kid": w.issuer.keyID, "alg": edDSA}
	claims := w.issuer.claims("forger", "admin").json()
	signed := func(name string, pairs ...any) forgery {
		return forgery{name, other.sign(w.issuer.header().with(pairs...).json(), claims)}
	}
	return []forgery{
		signed("another key under the key's id"),
		signed("another key under its own id", "kid", encoded("another")),
		signed("another key without an id", "kid", nil),
		signed("another key in jwk", "jwk", jwk),
		signed("another key in jwk, without an id", "jwk", jwk, "kid", nil),
		signed("another key at jku", "jku", w.oidc.url+"/keys"),
		signed("another key at x5u", "x5u", w.oidc.url+"/chain.pem"),
		signed("another key in x5c", "x5c", []string{base64.StdEncoding.EncodeToString(public)}),
		signed("another key with x5t", "x5t", encoded("thumb")),
		signed("a key id of a path", "kid", "../../../../dev/null"),
		signed("a key id of SQL", "kid", "' OR '1'='1"),
		signed("a key id of 8 KB", "kid", strings.Repeat("k", 8<<10)),
		signed("a key id of a number", "kid", 1),
		signed("a key id of NUL", "kid", "\x00"),
	}
}

func (w *world) wrongHeaders() []forgery {
	i, claims := w.issuer, w.issuer.claims("forger", "admin").json()
	signed := func(name string, pairs ...any) forgery {
		return forgery{name, i.sign(i.header().with(pairs...).json(), claims)}
	}
	return []forgery{
		signed("alg RS256 over an EdDSA signature", "alg", "RS256"),
		signed("alg ES256 over an EdDSA signature", "alg", "ES256"),
		signed("alg Ed448", "alg", "Ed448"),
		signed("alg in small letters", "alg", "eddsa"),
		signed("alg of a list", "alg", []string{edDSA}),
		signed("no alg", "alg", nil),
		signed("an unknown critical header", "crit", []string{"exp"}, "exp", 1),
		signed("payload not encoded", "b64", false, "crit", []string{"b64"}),
	}
}

// groupOrder is the order of the group of Ed25519.
func groupOrder() *big.Int {
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return order.Add(order, new(big.Int).Lsh(big.NewInt(1), 252))
}

func (w *world) wrongSignatures() []forgery {
	parts := strings.Split(w.issuer.token("forger", "admin"), ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil
	}
	input := parts[0] + "." + parts[1]
	with := func(name string, s []byte) forgery { return forgery{name, input + "." + encoded(string(s))} }
	flipped := bytes.Clone(signature)
	flipped[10] ^= 1
	// S + L is the same point as S: a verifier that does not ask for the smaller one takes two signatures of one token.
	s := bytes.Clone(signature[32:])
	reverse(s)
	malleable := new(big.Int).Add(new(big.Int).SetBytes(s), groupOrder()).FillBytes(make([]byte, 32))
	reverse(malleable)
	foreign := strings.Split(w.issuer.token("somebody-else", "learner"), ".")
	identity := append([]byte{1}, make([]byte, 63)...) // R is the neutral element, S is 0
	return []forgery{
		with("one bit of the signature changed", flipped),
		with("S + L in place of S", append(bytes.Clone(signature[:32]), malleable...)),
		with("a signature of zeros", make([]byte, 64)),
		with("R is the neutral element", identity),
		with("a signature one byte short", signature[:63]),
		with("a signature one byte long", append(bytes.Clone(signature), 0)),
		with("half a signature", signature[:32]),
		with("two signatures", append(bytes.Clone(signature), signature...)),
		{"another token's claims", parts[0] + "." + encoded(w.issuer.claims("other", "admin").json()) + "." + parts[2]},
		{"another token's signature", input + "." + foreign[2]},
		{"a header of the same meaning", encoded(`{ "alg":"EdDSA","kid":"`+w.issuer.keyID+`","typ":"JWT"}`) + "." + parts[1] + "." + parts[2]},
	}
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// wrongForms are tokens that are no compact serialization of one signature.
func (w *world) wrongForms() []forgery {
	token := w.issuer.token("forger", "admin")
	parts := strings.Split(token, ".")
	full := members{
		"payload": parts[1], "signatures": []members{{"protected": parts[0], "signature": parts[2]}},
	}
	flat := members{"payload": parts[1], "protected": parts[0], "signature": parts[2]}
	var small bytes.Buffer
	deflate, err := flate.NewWriter(&small, flate.BestCompression)
	if err != nil {
		return nil
	}
	_, _ = deflate.Write([]byte(w.issuer.claims("forger", "admin").json()))
	_ = deflate.Close()
	return []forgery{
		{"truncated by a letter", token[:len(token)-1]},
		{"truncated to two parts", parts[0] + "." + parts[1]},
		{"one part", parts[0]},
		{"four parts", token + "." + parts[2]},
		{"five parts", token + ".a.b"},
		{"a dot before", "." + token},
		{"a token in a token", w.issuer.sign(w.issuer.header().with("cty", "JWT").json(), `"`+token+`"`)},
		{"compressed claims", w.issuer.sign(w.issuer.header().with("zip", "DEF").json(), small.String())},
		{"JSON serialization", full.json()},
		{"flattened serialization", flat.json()},
		{"with padding", parts[0] + "==." + parts[1] + "==." + parts[2] + "=="},
		{"a space inside", parts[0] + ". " + parts[1] + "." + parts[2]},
		{"a comma and another", token + "," + token},
		{"a space and another", token + " " + token},
		{"quoted", `"` + token + `"`},
		{"a full stop of another script", parts[0] + "\u3002" + parts[1] + "\u3002" + parts[2]},
		{"letters of full width", "\uff45" + token[1:]},
		{"a zero-width space at the end", token + "\u200b"},
		{"17 KB of signature", token + strings.Repeat("A", 17<<10)},
		{"17 KB of claims", w.issuer.sign(w.issuer.header().json(), w.issuer.claims("forger", "admin").with("x", strings.Repeat("y", 17<<10)).json())},
		{"17 KB of dots", strings.Repeat(".", 17<<10)},
		{"deep claims", w.issuer.sign(w.issuer.header().json(), strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000))},
		{"base64 of another alphabet", base64.StdEncoding.EncodeToString([]byte(token))},
		{"an encrypted token", encoded(`{"alg":"dir","enc":"A256GCM"}`) + ".." + encoded("123456789012") + "." + parts[1] + "." + encoded("1234567890123456")},
		{"a word", "admin"},
		{"undefined", "undefined"},
	}
}

// elliptic are tokens of the provider's.
func (w *world) elliptic() []forgery {
	header := members{"alg": "ES256", "kid": "ecdsa"}
	input, signature := w.oidc.es256(header.json(), w.oidcClaims().json())
	with := func(name string, s []byte) forgery { return forgery{name, input + "." + encoded(string(s))} }
	order := w.oidc.ecdsa.Params().N.FillBytes(make([]byte, 32))
	one := append(make([]byte, 31), 1)
	rs := w.oidc.rs256(members{"alg": "RS256", "kid": "rsa"}.json(), w.oidcClaims().json())
	foreign, err := newProvider()
	if err != nil {
		return nil
	}
	foreign.close()
	other, otherSignature := foreign.es256(header.json(), w.oidcClaims().json())
	return []forgery{
		with("ES256 with r and s of 0", make([]byte, 64)),
		with("ES256 with r of 0", append(make([]byte, 32), signature[32:]...)),
		with("ES256 with r and s of the order", append(bytes.Clone(order), order...)),
		with("ES256 with r and s of 1", append(bytes.Clone(one), one...)),
		with("ES256 with no signature", nil),
		with("ES256 in 32 bytes", signature[:32]),
		{"ES256 of another key", other + "." + encoded(string(otherSignature))},
		{"RS256 of another key", foreign.rs256(members{"alg": "RS256", "kid": "rsa"}.json(), w.oidcClaims().json())},
		{"RS256 under the id of the other key", w.oidc.rs256(members{"alg": "RS256", "kid": "ecdsa"}.json(), w.oidcClaims().json())},
		{"RS256 cut short", rs[:len(rs)-8]},
		{"PS256 over a signature of RS256", w.oidc.rs256(members{"alg": "PS256", "kid": "rsa"}.json(), w.oidcClaims().json())},
		{"the local issuer, signed by the provider", w.oidc.rs256(members{"alg": "RS256", "kid": "rsa"}.json(), w.issuer.claims("forger", "admin").json())},
	}
}

// oddHeaders are headers that hold a valid token, and are no bearer token.
func (w *world) oddHeaders(ctx context.Context) {
	token := w.issuer.token("odd-header", "admin")
	for _, value := range []string{
		token, "Basic " + token, "Bearer", "Bearer ", "Token " + token, "Bearer:" + token, "Ticket " + token, strings.Repeat("Bearer ", 2) + token,
		"Bearer\t" + token, "Bearer  " + token, "Bearer " + token + "\t", "Digest " + token,
	} {
		a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/audit?service=progress", header: http.Header{"Authorization": {value}}})
		// White space around a token means nothing in HTTP.
		if a != nil && a.status != http.StatusUnauthorized && strings.Join(strings.Fields(value), " ") != "Bearer "+token {
			w.tally.faultf("Authorization: %.12s…: %d", value, a.status)
		}
	}
	for _, r := range []request{
		{method: http.MethodGet, path: "/v1/audit?service=progress&access_token=" + token},
		{method: http.MethodGet, path: "/v1/audit?service=progress&ticket=" + token},
		{method: http.MethodGet, path: "/v1/audit?service=progress", header: http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}},
		{method: http.MethodGet, path: "/v1/audit?service=progress", header: http.Header{"Cookie": {"token=" + token}}},
		{method: http.MethodGet, path: "/v1/audit?service=progress", header: http.Header{"Grpc-Metadata-Authorization": {"Bearer " + token}}},
		{method: http.MethodGet, path: "/v1/audit?service=progress", header: http.Header{"X-Forwarded-Authorization": {"Bearer " + token}}},
	} {
		if a := w.sendAndCount(ctx, r); a != nil && a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
			w.tally.faultf("a token elsewhere than in Authorization: %.40s: %d", r.path, a.status)
		}
	}
}

// oddSubjects are valid tokens whose subjects look alike, or like something else: each is a person of
// its own, or refused.
func (w *world) oddSubjects(ctx context.Context) error {
	seen := map[string]string{}
	for _, subject := range []string{
		"ada", "Ada", "ADA", "ada ", " ada", "\u0430da", "ada\u200b", "a\u0308da", "\u00e4da", "ada\u202e", "me", "service:progress",
		"honest-0\n", "honest-0\t", "../honest-0", "honest-0%00", "*", "%", "_", "' OR 1=1 --", "null", "0", "-1", "true", "{}", "learner",
		strings.Repeat("a", 255), strings.Repeat("\U0001F600", 63), "00000000-0000-4000-8000-000000000000", "preceptor-audit", "gateway",
	} {
		a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/learners/me", token: w.issuer.token(subject, "learner")})
		if a == nil {
			continue
		}
		var me struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(a.body, &me); err != nil || a.status == http.StatusOK && me.ID == "" {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		if a.status != http.StatusOK {
			continue
		}
		if other, taken := seen[me.ID]; taken {
			w.tally.faultf("the subjects %q and %q are one learner", subject, other)
		}
		seen[me.ID] = subject
		if !utf8.Valid(a.body) {
			w.tally.faultf("the subject %q comes back as no UTF-8", subject)
		}
	}
	return nil
}
