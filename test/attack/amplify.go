package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxViolations is how many violations a response lists; one more may say how many others there are.
	maxViolations = 100
	// maxRefusal is how large a refusal may be.
	maxRefusal = 1 << 20
	// atOnce is how long a refusal may take that needs nothing but the headers: it does not wait for a body.
	atOnce = 20 * time.Second
)

// attackAnnounce has connections announce the largest bodies that there are, without a token, and send
// nearly nothing of them.
func attackAnnounce(ctx context.Context, w *world) error {
	var announcing sync.WaitGroup
	for range w.dose(30, 300) {
		announcing.Go(func() {
			conn, err := dial(ctx, attackerAddr, w.httpAddr())
			if err != nil {
				w.tally.faultf("announce: %s", withoutPorts(err))
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "POST /v1/catalog:import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16777216\r\n\r\n{")
			_ = conn.SetReadDeadline(deadline(atOnce))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				w.tally.add("no answer")
				w.tally.faultf("a body of 16 MiB without a token is waited for")
				return
			}
			defer resp.Body.Close()
			w.tally.add(fmt.Sprint(resp.StatusCode))
			if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusTooManyRequests {
				w.tally.faultf("a body of 16 MiB without a token: %d", resp.StatusCode)
			}
		})
	}
	announcing.Wait()
	return nil
}

// attackInflight has a learner send batches of a mebibyte over many connections, all of them held back
// until each lacks its last byte.
func attackInflight(ctx context.Context, w *world) error {
	token := w.issuer.token("inflight", "learner")
	bodies := []string{
		`{"events":[` + strings.Repeat(`{},`, (1<<20-20)/3) + `{}]}`,
		`{"events":[{"eventId":"` + noID + `","reason":"` + strings.Repeat("a", 1<<20-100) + `"}]}`,
		`{"events":` + strings.Repeat("[", 1<<19-20) + strings.Repeat("]", 1<<19-20) + `}`,
	}
	const connections = 500
	var held, sending sync.WaitGroup
	held.Add(connections)
	last := make(chan struct{})
	for i := range connections {
		sending.Go(func() { w.holdBack(ctx, token, bodies[i%len(bodies)], held.Done, last) })
	}
	all := make(chan struct{})
	go func() {
		held.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(atOnce): // the server reads no further from some
	}
	close(last)
	sending.Wait()
	return nil
}

// holdBack sends a batch but for its last byte, calls held, and sends that once last is closed.
func (w *world) holdBack(ctx context.Context, token, body string, held func(), last <-chan struct{}) {
	once := sync.OnceFunc(held)
	defer once()
	conn, err := dial(ctx, attackerAddr, w.httpAddr())
	if err != nil {
		w.tally.add("no connection")
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline(2 * patience))
	go func() {
		_, err := fmt.Fprintf(conn, "POST /v1/learners/me/events:batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			token, len(body), body[:len(body)-1])
		once()
		if err == nil {
			<-last
			_, _ = io.WriteString(conn, body[len(body)-1:])
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.tally.add("cut") // a server that refuses before it has read all may reset the connection
		return
	}
	defer resp.Body.Close()
	w.tally.http("a batch of a mebibyte", &answer{resp.StatusCode, resp.Header, readAll(resp.Body)})
}

// document is a catalog to import that costs more to read than it costs to send.
type document struct {
	name, media string
	body        []byte
	zipped      bool
	empty       bool // of nothing, which may be imported
}

// attackImports has an author import documents that are small and mean much. Each is refused, in few words.
func attackImports(ctx context.Context, w *world) error {
	token := w.issuer.token("importer", "author")
	for _, d := range w.documents() {
		for _, query := range []string{"?dryRun=true", ""} {
			if !w.alive() {
				return errEnded
			}
			r := request{method: http.MethodPost, path: "/v1/catalog:import" + query, token: token, body: d.body}.with("Content-Type", d.media)
			if d.zipped {
				r = r.with("Content-Encoding", "gzip")
			}
			a := w.sendAndCount(ctx, r)
			switch {
			case a == nil:
				w.tally.faultf("%s: not answered", d.name)
			case a.status < http.StatusBadRequest && d.empty:
			case a.status < http.StatusBadRequest:
				w.tally.faultf("%s: %d", d.name, a.status)
			default:
				if n := len(a.problem().Violations); n > maxViolations+1 {
					w.tally.faultf("%s: %d violations", d.name, n)
				}
				if len(a.body) > maxRefusal {
					w.tally.faultf("%s: a refusal of %d bytes for %d", d.name, len(a.body), len(d.body))
				}
			}
			if w.short {
				break // the second time is as the first
			}
		}
	}
	return nil
}

// repeated is a document of a head and many like entries.
func repeated(head string, n int, entry func(i int) string) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for i := range n {
		b.WriteString(entry(i))
	}
	return b.Bytes()
}

func (w *world) documents() []document {
	const yaml, jsonType = "application/yaml", "application/json"
	many := w.dose(20_000, 170_000)
	ring := w.dose(2000, 5000)
	laughs := repeated("a0: &a0 [x,x,x,x,x,x,x,x,x]\n", 11, func(i int) string {
		return fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	})
	all := []document{
		{name: "stubs of modules", media: yaml, body: repeated("modules:\n", many, func(i int) string { return fmt.Sprintf("  - id: a%d\n", i) })},
		{name: "empty modules", media: yaml, body: []byte("modules: [" + strings.Repeat("{},", 5*many) + "{}]")},
		{name: "empty modules in JSON", media: jsonType, body: []byte(`{"modules":[` + strings.Repeat("{},", 5*many) + "{}]}")},
		{name: "numbers in place of modules", media: yaml, body: []byte("modules: [" + strings.Repeat("1,", 7*many) + "1]")},
		{name: "a ring of prerequisites", media: yaml, body: repeated("modules:\n", ring, func(i int) string {
			return fmt.Sprintf("  - {id: r%d, topic: t, title: T, prerequisites: [r%d], units: [{id: u, title: U, kind: READING}]}\n", i, (i+1)%ring)
		})},
		{name: "a module that needs all others", media: yaml, body: repeated("modules:\n", ring, func(i int) string {
			return fmt.Sprintf("  - {id: r%d, topic: t, title: T, prerequisites: [r%d, no-%d, r%d]}\n", i, i+1, i, i+2)
		})},
		{name: "aliases of aliases", media: yaml, body: append(laughs, "modules: *a11\n"...)},
		{name: "one anchor and many aliases", media: yaml, body: repeated("x: &x {id: a, topic: t, title: T}\nmodules:\n", many, func(int) string { return "  - *x\n" })},
		{name: "merged keys", media: yaml, body: repeated("x: &x {id: a, topic: t, title: T}\nmodules:\n", many, func(int) string { return "  - {<<: *x}\n" })},
		{name: "faults without end", media: yaml, body: repeated("modules:\n", many, func(i int) string { return fmt.Sprintf("  - {id: A %d, x%d: 1, title: 7}\n", i, i) })},
		{name: "unknown keys without end", media: yaml, body: repeated("", many, func(i int) string { return fmt.Sprintf("k%d: 1\n", i) })},
		{name: "one module of many units", media: yaml, body: repeated("modules:\n  - id: a\n    topic: t\n    title: T\n    units:\n", many, func(i int) string { return fmt.Sprintf("      - {id: U%d}\n", i) })},
		{name: "deep lists", media: yaml, body: []byte("modules: " + strings.Repeat("[", 10*many))},
		{name: "deep lists that end", media: yaml, body: []byte("modules: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000))},
		{name: "deep blocks", media: yaml, body: repeated("", 2000, func(i int) string { return strings.Repeat(" ", i) + "a:\n" })},
		{name: "deep objects in JSON", media: jsonType, body: []byte(strings.Repeat(`{"modules":`, many))},
		{name: "documents without end", media: yaml, body: []byte(strings.Repeat("---\n", 10*many)), empty: true},
		{name: "one long text", media: yaml, body: []byte("modules:\n  - {id: a, topic: t, title: " + strings.Repeat("a", 15<<20) + "}\n")},
		{name: "a text of escapes", media: yaml, body: []byte("modules:\n  - {id: a, topic: t, title: \"" + strings.Repeat(`\u00e9`, 10*many) + "\"}\n")},
		{name: "a gibibyte of spaces in gzip", media: yaml, body: zipped(bytes.Repeat([]byte(" "), 1<<20), 1024), zipped: true},
		{name: "16 MiB of stubs in gzip", media: yaml, body: zipped([]byte("modules: ["+strings.Repeat("{},", 5<<20)+"{}]"), 1), zipped: true},
		{name: "files without end", media: jsonType, body: []byte(`{"files":[` + strings.Repeat(`{},`, many) + `{}]}`)},
		{name: "files of stubs", media: jsonType, body: repeated(`{"files":[{"name":"a.yaml","content":"modules: []"}`, many/4, func(i int) string {
			return fmt.Sprintf(`,{"name":"f%d.yaml","content":"modules: [{}]"}`, i)
		})},
	}
	last := &all[len(all)-1]
	last.body = append(last.body, "]}"...)
	return all
}
