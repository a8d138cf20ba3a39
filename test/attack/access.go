package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// caller is somebody who calls every RPC.
type caller struct {
	name, token, role string
	// about is the learner in the request, of whom self says whether it is the caller.
	about string
	self  bool
}

// noRole stands for a token whose roles are none of ours.
const noRole = "none"

// attackAccess calls every RPC as everybody, over REST and gRPC: who is admitted is what the options in
// proto/ say, and nobody else.
func attackAccess(ctx context.Context, w *world) error {
	callers, err := w.callers(ctx)
	if err != nil {
		return err
	}
	conn, err := w.openGRPC()
	if err != nil {
		return err
	}
	defer conn.Close()
	all := rpcs()
	if len(all) < 51 {
		w.tally.faultf("only %d RPCs", len(all))
	}
	g := &generator{dice: w.dice, module: honestModule, path: honestPath}
	for _, r := range all {
		for _, c := range callers {
			if !r.aboutWhom && !c.self && c.role != "" {
				continue // the request is about nobody
			}
			want := c.role != "" && r.admits(c.role, c.self)
			full := []bool{false}
			if !want {
				// What is refused is refused with a good request too.
				full = append(full, true)
			}
			for _, good := range full {
				if err := w.tryGRPC(ctx, conn, r, c, good, g); err != nil {
					return err
				}
				w.tryREST(ctx, r, c, good, g)
			}
		}
	}
	return nil
}

// callers are all kinds of them, each about itself and about another learner.
func (w *world) callers(ctx context.Context) ([]caller, error) {
	idOf := func(token string) (string, error) {
		a, err := send(ctx, w.client, w.httpAddr(), request{method: http.MethodGet, path: "/v1/learners/me", token: token})
		if err != nil {
			return "", err
		}
		var me struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(a.body, &me); err != nil || me.ID == "" {
			return "", fmt.Errorf("%d %s", a.status, a.body)
		}
		return me.ID, nil
	}
	other, err := idOf(w.issuer.token("somebody", "learner"))
	if err != nil {
		return nil, err
	}
	forger := &issuer{append([]byte(nil), w.issuer.key...), w.issuer.keyID}
	forger.key[3] ^= 1
	callers := []caller{
		{name: "nobody", about: "me"},
		{name: "nobody about another", about: other},
		{name: "a forger", token: forger.token("forger", "admin"), about: "me"},
		{name: "no role of ours", token: w.issuer.token("no-role", "root"), role: noRole, about: "me", self: true},
		{name: "no role of ours about another", token: w.issuer.token("no-role", "root"), role: noRole, about: other},
	}
	for _, role := range []string{"learner", "manager", "author", "admin"} {
		token := w.issuer.token("the-"+role, role)
		own, err := idOf(token)
		if err != nil {
			return nil, err
		}
		callers = append(callers,
			caller{role, token, role, "me", true}, caller{role + " by id", token, role, own, true}, caller{role + " about another", token, role, other, false})
	}
	return callers, nil
}

// judge compares how a call ended with how it should have.
func (w *world) judge(r rpc, c caller, over string, admitted bool, outcome any) {
	want := c.role != "" && r.admits(c.role, c.self)
	// An RPC that reads the catalog for somebody is refused by the catalog, where nobody without a role reads.
	if want && !admitted && c.role == noRole {
		return
	}
	if admitted != want {
		w.tally.faultf("%s as %s, over %s: %v", r.short(), c.name, over, outcome)
	}
}

func (w *world) tryGRPC(ctx context.Context, conn *grpcClient, r rpc, c caller, good bool, g *generator) error {
	req, err := empty(r.input)
	if err != nil {
		return err
	}
	resp, err := empty(r.output)
	if err != nil {
		return err
	}
	if good {
		text, err := json.Marshal(g.message(r.input, 0, nil))
		if err != nil {
			return err
		}
		// What the generated JSON spells in its own way, as times of days, is left out.
		_ = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, req)
	}
	if r.aboutWhom {
		req.ProtoReflect().Set(r.input.Fields().ByName("learner_id"), protoreflect.ValueOfString(c.about))
	}
	authorization := ""
	if c.token != "" {
		authorization = "Bearer " + c.token
	}
	if r.streams {
		err = conn.first(ctx, r.name, authorization, req, resp)
	} else {
		err = conn.invoke(ctx, r.name, authorization, req, resp)
	}
	code := w.tally.grpc(r.short()+" as "+c.name, err)
	w.judge(r, c, "gRPC", code != codes.Unauthenticated && code != codes.PermissionDenied, code)
	if c.role == "" && code != codes.Unauthenticated {
		w.tally.faultf("%s as %s, over gRPC: %s, and not Unauthenticated", r.short(), c.name, code)
	}
	return nil
}

// first calls an RPC that streams, and reads until it was admitted or refused.
func (c *grpcClient) first(ctx context.Context, method, authorization string, req, resp proto.Message) error {
	ctx, cancel := c.context(ctx, authorization)
	defer cancel()
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(req); err != nil {
		return stream.RecvMsg(resp) // which has the reason
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if header, err := stream.Header(); err == nil && header != nil {
		return nil // a watch would say nothing more by itself
	}
	return stream.RecvMsg(resp)
}

func (w *world) tryREST(ctx context.Context, r rpc, c caller, good bool, g *generator) {
	if r.method == "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := request{method: r.method, token: c.token, path: r.at(map[string]string{
		"learner_id": c.about, "module_id": "no-such-module", "path_id": "no-such-path", "number": "1", "enrollment_id": noID, "award_id": noID,
	})}
	if r.body != "" {
		req = req.asJSON(map[string]any{})
		if good {
			req = req.asJSON(g.bodyOf(r))
		}
	}
	a := w.sendHeadAndCount(ctx, req)
	if a == nil {
		return
	}
	refused := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden && a.problem().Reason != "ABOUT_ONESELF"
	w.judge(r, c, "REST", !refused, a.status)
}

// sendHeadAndCount is sendAndCount that does not wait for the body of a success, which may never end.
func (w *world) sendHeadAndCount(ctx context.Context, r request) *answer {
	req, err := http.NewRequestWithContext(ctx, r.method, "http://"+w.httpAddr()+r.path, bodyReader(r.body))
	if err != nil {
		w.tally.faultf("harness: %v", err)
		return nil
	}
	req.Header.Set("Content-Type", "application/json")
	if r.body == nil {
		req.Header.Del("Content-Type")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.tally.add("no answer")
		w.tally.faultf("%s %s: %s", r.method, r.path, withoutPorts(err))
		return nil
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.status >= http.StatusBadRequest {
		a.body = readAll(resp.Body)
	}
	w.tally.http(r.method+" "+r.path, a)
	return a
}
