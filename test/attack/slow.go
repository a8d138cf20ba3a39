package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// attackSlow has clients that ask for much and never read it, and others that send a body a byte at a time.
// The server cuts them off, in a while.
func attackSlow(ctx context.Context, w *world) error {
	before := w.sockets()
	author, learner := w.issuer.token("slow-author", "author"), w.issuer.token("slow-learner", "learner")
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			conn.Close()
		}
	}()
	open := func(text string) error {
		conn, err := dial(ctx, attackerAddr, w.httpAddr())
		if err != nil {
			return err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4096)
		}
		held = append(held, conn)
		_ = conn.SetWriteDeadline(deadline(atOnce))
		_, _ = io.WriteString(conn, text) // the server reads one request at a time
		return nil
	}
	for i := range 400 {
		text := strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 40)
		if i%10 == 0 { // these cost the server more than memory
			text = strings.Repeat("GET /v1/catalog:export HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+author+"\r\n\r\n", 60)
		}
		if err := open(text); err != nil {
			return err
		}
		w.tally.add("never reads")
	}
	for range 100 {
		err := open(fmt.Sprintf("POST /v1/learners/me/events:batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", learner))
		if err != nil {
			return err
		}
		w.tally.add("sends slowly")
	}
	silent, err := w.neverRead(ctx, 10, 20)
	if err != nil {
		return err
	}
	for _, c := range silent {
		defer c.close()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go drip(ctx, held[400:])
	if w.short {
		pause(ctx, whileHeld)
		return nil
	}
	w.awaitCut(ctx, before)
	w.allGone(silent)
	return nil
}

// allGone looks whether the server has closed connections.
func (w *world) allGone(silent []*h2) {
	for _, c := range silent {
		if !c.gone() {
			w.tally.faultf("a connection of gRPC that is never read is open")
		}
	}
}

// drip sends a byte a second over each connection.
func drip(ctx context.Context, conns []net.Conn) {
	for ctx.Err() == nil {
		for _, conn := range conns {
			_ = conn.SetWriteDeadline(deadline(time.Millisecond))
			_, _ = io.WriteString(conn, " ") // it may be cut off
		}
		pause(ctx, time.Second)
	}
}

// awaitCut waits until the program has hardly more sockets than it had.
func (w *world) awaitCut(ctx context.Context, before int) {
	const few, minutes = 10, 10
	for range minutes * 60 {
		if w.sockets()-before <= few || ctx.Err() != nil {
			return
		}
		pause(ctx, time.Second)
	}
	w.tally.faultf("%d slow connections are open after %d minutes", w.sockets()-before, minutes)
}

// attackIdle opens connections that say nothing, as many as this user may have.
func attackIdle(ctx context.Context, w *world) error {
	n := min(w.dose(2000, 10_000), openFiles()-500)
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			conn.Close()
		}
	}()
	for i := range n {
		addr := w.httpAddr()
		if i%2 == 1 {
			addr = w.grpcAddr()
		}
		conn, err := dial(ctx, attackerAddr, addr)
		if err != nil {
			w.tally.faultf("connection %d: %s", i, withoutPorts(err))
			break
		}
		held = append(held, conn)
		w.tally.add("idle connection")
	}
	pause(ctx, whileHeld)
	if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/healthz"}); a == nil || a.status != http.StatusOK {
		w.tally.faultf("beside %d idle connections: %v", len(held), a)
	}
	return nil
}
