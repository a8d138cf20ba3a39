package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

const (
	record     = progressv1.ProgressService_BatchRecordEvents_FullMethodName
	eventsPath = "/v1/learners/me/events:batch"
)

func eventID(n int) string { return fmt.Sprintf("0190a1b2-0000-7000-8000-%012d", n) }

// records makes the backend accept every event.
func (h *harness) records() {
	h.on(record, func(ctx context.Context, req proto.Message) (proto.Message, error) {
		events := req.ProtoReflect()
		batch, _ := events.Interface().(*progressv1.BatchRecordEventsRequest)
		resp := &progressv1.BatchRecordEventsResponse{AsOfSequence: 41, LogId: "log-1"}
		for i, e := range batch.GetEvents() {
			resp.Results = append(resp.Results, &progressv1.EventResult{
				EventId: e.GetEventId(), Status: progressv1.EventResult_ACCEPTED, Sequence: new(int64(i + 1)),
			})
		}
		return resp, grpc.SetHeader(ctx, metadata.Pairs("preceptor-catalog-revision", "9"))
	})
}

func TestRecordEvent(t *testing.T) {
	h := open(t)
	h.records()
	id := eventID(1)
	a := h.do(t, "POST", eventsPath, `{"events":[{"eventId":"`+id+`","moduleId":"hipaa-foundations","moduleVersion":2,"unitId":"phi","verb":"COMPLETED",
		"score":0.9,"progress":1,"occurredAt":"2026-11-20T09:00:00.5+01:00","deviceId":"phone-1","reason":"größer","timeZone":"Europe/Berlin"}],
		"sentAt":"2026-11-20T10:00:00+01:00"}`, "X-Request-Id", "r-1", "Traceparent", "00-x")
	a.wantJSON(t, 200, `{"results":[{"eventId":"`+id+`","status":"ACCEPTED","sequence":"1"}],"awards":[],"asOfSequence":"41","logId":"log-1"}`)
	c := h.last(t)
	want := &progressv1.BatchRecordEventsRequest{LearnerId: "me", Events: []*progressv1.ProgressEvent{{
		EventId: id, ModuleId: "hipaa-foundations", ModuleVersion: 2, UnitId: "phi", Verb: progressv1.ProgressEvent_COMPLETED,
		Score: new(0.9), Progress: proto.Float64(1), DeviceId: "phone-1", Reason: "größer", TimeZone: "Europe/Berlin",
		OccurredAt: timestamppb.New(time.Date(2026, 11, 20, 8, 0, 0, 500_000_000, time.UTC)),
	}}, SentAt: timestamppb.New(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))}
	if !proto.Equal(c.req, want) {
		t.Errorf("%v\nwant %v", c.req, want)
	}
	for key, want := range map[string]string{"authorization": token, "x-request-id": "r-1"} {
		if got := c.md.Get(key); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", key, got)
		}
	}
	if got := c.md.Get("traceparent"); got != nil { // which the services would believe
		t.Errorf("a stranger's trace goes on: %q", got)
	}
	if got := a.header.Get("Preceptor-Catalog-Revision"); got != "9" {
		t.Errorf("revision %q", got)
	}
}

func TestNoEvents(t *testing.T) {
	h := open(t)
	h.records()
	for _, body := range []string{`{"events":[]}`, `{}`, `{"events":null}`, "", " \n", ` { "events" : [ ] } `, `{"sentAt":null}`, `{"sent_at":"2026-11-20T09:00:00Z"}`} {
		h.do(t, "POST", eventsPath, body).wantJSON(t, 200, `{"results":[],"awards":[],"asOfSequence":"41","logId":"log-1"}`)
	}
	if h.count() != 8 {
		t.Errorf("%d calls: the service decides who may record", h.count())
	}
}

func TestIncludeProgress(t *testing.T) {
	h := open(t)
	h.on(record, func(_ context.Context, req proto.Message) (proto.Message, error) {
		batch, _ := req.(*progressv1.BatchRecordEventsRequest)
		resp := new(progressv1.BatchRecordEventsResponse)
		if batch.GetInclude() == progressv1.BatchRecordEventsRequest_PROGRESS {
			resp.Progress = &progressv1.BatchProgress{
				Paths:   []*progressv1.PathStanding{{PathId: "p", State: progressv1.Enrollment_ACTIVE, Percent: new(int32(50)), CompletedCount: 2}},
				Modules: []*progressv1.ModuleStanding{{ModuleId: "m", State: progressv1.ModuleProgress_LOCKED}},
			}
		}
		return resp, nil
	})
	with := `,"progress":{"paths":[{"pathId":"p","state":"ACTIVE","percent":50,"completedCount":2}],"modules":[{"moduleId":"m","state":"LOCKED","cycle":0}]}`
	for body, want := range map[string]string{
		`{"events":[],"include":"PROGRESS"}`:           with,
		`{ "include" : "PROGRESS" , "events" : null }`: with,
		`{"include":null}`:                             "",
		`{"include":"INCLUDE_UNSPECIFIED"}`:            "",
		`{}`:                                           "",
	} {
		h.do(t, "POST", eventsPath, body).wantJSON(t, 200, `{"results":[],"awards":[],"asOfSequence":"0","logId":""`+want+`}`)
	}
}

func TestOneBadEventSinksNoOther(t *testing.T) {
	h := open(t)
	h.records()
	bad := []struct{ members, field string }{
		{`"verb":"DANCED"`, "verb"},
		{`"verb":99`, "verb"},
		{`"occurredAt":"yesterday"`, "occurredAt"},
		{`"occurredAt":"2026-11-20T08:00:00.1234567890Z"`, "occurredAt"},
		{`"occurredAt":1763600000`, "occurredAt"},
		{`"scoer":0.9`, "scoer"},
		{`"score":"NaN"`, "score"},
		{`"score":"Infinity"`, "score"},
		{`"score":1e999`, "score"},
		{`"score":true`, "score"},
		{`"unitId":"a\u0000b"`, "unitId"},
		{`"unitId":7`, "unitId"},
		{`"moduleVersion":1.5`, "moduleVersion"},
		{`"moduleVersion":99999999999`, "moduleVersion"},
		{`"reason":{"deep":[[[[]]]]}`, "reason"},
		{`"deviceId":"a","device_id":"b"`, "device_id"},
		{`"timeZone":1`, "timeZone"},
		{`"sentAt":"2026-11-20T09:00:00Z"`, "sentAt"},
	}
	var parts []string
	for i, b := range bad {
		parts = append(parts,
			fmt.Sprintf(`{"eventId":"%s",%s,"moduleId":"m"}`, eventID(2*i), b.members),
			fmt.Sprintf(`{"eventId":"%s","moduleId":"m"}`, eventID(2*i+1)))
	}
	a := h.do(t, "POST", eventsPath, `{"events":[`+strings.Join(parts, ",")+`]}`)
	var got struct {
		Results []struct {
			EventID     string `json:"eventId"`
			Status      string `json:"status"`
			Reason      string `json:"reason"`
			Description string `json:"description"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if len(got.Results) != len(parts) {
		t.Fatalf("%d results", len(got.Results))
	}
	for i, r := range got.Results {
		if r.EventID != eventID(i) {
			t.Errorf("result %d is of %s", i, r.EventID)
		}
		if i%2 == 1 {
			if r.Status != "ACCEPTED" {
				t.Errorf("%+v", r)
			}
			continue
		}
		if b := bad[i/2]; r.Status != "REJECTED" || r.Reason != "MALFORMED" || !strings.HasPrefix(r.Description, b.field+": ") {
			t.Errorf("%s: %+v", b.members, r)
		}
	}
	if batch, _ := h.last(t).req.(*progressv1.BatchRecordEventsRequest); len(batch.GetEvents()) != len(bad) {
		t.Errorf("%d events went on", len(batch.GetEvents()))
	}
}

func TestWholeBatchAtFault(t *testing.T) {
	h := open(t)
	h.records()
	id := eventID(1)
	event := `{"eventId":"` + id + `"}`
	for name, c := range map[string]struct {
		body   string
		fields []string
	}{
		"not JSON":            {`{"events":[` + event, []string{"body"}},
		"bad JSON inside":     {`{"events":[{"eventId":"` + id + `","score":01}]}`, []string{"body"}},
		"bad JSON elsewhere":  {`{"events":[` + event + `],"x":tru}`, []string{"body"}},
		"missing comma":       {`{"events":[` + event + event + `]}`, []string{"body"}},
		"comma at the end":    {`{"events":[` + event + `,]}`, []string{"body"}},
		"comma after all":     {`{"events":[` + event + `],}`, []string{"body"}},
		"garbage after":       {`{"events":[` + event + `]} {}`, []string{"body"}},
		"no colon":            {`{"events"[]}`, []string{"body"}},
		"name without quotes": {`{events:[]}`, []string{"body"}},
		"not UTF-8":           {"{\"events\":[{\"eventId\":\"" + id + "\",\"unitId\":\"\xff\"}]}", []string{"body"}},
		"a list":              {`[` + event + `]`, []string{"body"}},
		"deep":                {`{"events":[` + strings.Repeat("[", 100_000) + `]}`, []string{"body"}},
		"unknown field":       {`{"events":[` + event + `],"learnerId":"me","x":1}`, []string{"learnerId", "x"}},
		"not a list":          {`{"events":` + event + `}`, []string{"events"}},
		"twice":               {`{"events":[],"events":[]}`, []string{"events"}},
		"sentAt is no time":   {`{"events":[` + event + `],"sentAt":"now"}`, []string{"sentAt"}},
		"sentAt is a number":  {`{"sentAt":1763600000,"events":[` + event + `]}`, []string{"sentAt"}},
		"sentAt twice":        {`{"sentAt":null,"sent_at":"2026-11-20T09:00:00Z","events":[` + event + `]}`, []string{"sentAt"}},
		"include of another":  {`{"events":[` + event + `],"include":"AWARDS"}`, []string{"include"}},
		"include of a list":   {`{"events":[` + event + `],"include":["PROGRESS"]}`, []string{"include"}},
		"include twice":       {`{"include":"PROGRESS","include":"PROGRESS"}`, []string{"include"}},
		"too many":            {`{"events":[` + strings.Repeat(event+",", 500) + event + `]}`, []string{"events"}},
		"ids": {
			`{"events":[` + event + `,{},{"eventId":"7"},{"eventId":7},5,null,{"eventId":"` + id + `","verb":"NO"},{"eventId":"x","verb":"NO"}]}`,
			[]string{"events[1].eventId", "events[2].eventId", "events[3].eventId", "events[4]", "events[5]", "events[7].eventId"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if p := h.do(t, "POST", eventsPath, c.body).wantProblem(t, 400, "INVALID_ARGUMENT"); !slices.Equal(p.fields(), c.fields) {
				t.Errorf("%v, want %v", p.fields(), c.fields)
			}
		})
	}
	if h.count() != 0 {
		t.Errorf("%d calls reached the service", h.count())
	}
	full := `{"events":[` + strings.Repeat(event+",", 499) + event + `]}`
	if a := h.do(t, "POST", eventsPath, full); a.status != 200 {
		t.Errorf("500 events: %d %s", a.status, a.body)
	}
}

func TestBatchErrorsAreTheServices(t *testing.T) {
	h := open(t)
	h.fails(record, fault(codes.Unauthenticated, "TOKEN_EXPIRED", "the token has expired"))
	a := h.do(t, "POST", eventsPath, `{"events":[{"eventId":"`+eventID(1)+`","verb":"NO"}]}`)
	a.wantProblem(t, 401, "TOKEN_EXPIRED")
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
	h.responds(record, &progressv1.BatchRecordEventsResponse{})
	h.do(t, "POST", eventsPath, `{"events":[{"eventId":"`+eventID(1)+`"}]}`).wantProblem(t, 500, "INTERNAL")
	h.do(t, "POST", eventsPath, `{"events":[]}`, "Grpc-Timeout", "soon").wantProblem(t, 400, "INVALID_ARGUMENT")
}
