package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// TestDescriptors builds messages of the API from the served descriptors alone, as a client does that has
// no generated code.
func TestDescriptors(t *testing.T) {
	h := open(t)
	a := h.get(t, "/descriptors.binpb", noToken...)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/protobuf" || a.header.Get("ETag") == "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if again := h.get(t, "/descriptors.binpb", append(noToken, "If-None-Match", a.header.Get("ETag"))...); again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("again: %d, %d bytes", again.status, len(again.body))
	}
	if other := open(t).get(t, "/descriptors.binpb"); other.header.Get("ETag") != a.header.Get("ETag") {
		t.Error("another replica has another ETag")
	}
	if head := h.do(t, http.MethodHead, "/descriptors.binpb", "", noToken...); head.status != http.StatusOK || head.header.Get("ETag") != a.header.Get("ETag") {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	h.do(t, http.MethodPost, "/descriptors.binpb", "{}").wantProblem(t, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")

	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal([]byte(a.body), set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set) // fails where an import is missing
	if err != nil {
		t.Fatal(err)
	}
	for i, seen := 0, map[string]bool{}; i < len(set.GetFile()); i++ {
		for _, needed := range set.GetFile()[i].GetDependency() {
			if !seen[needed] {
				t.Errorf("%s comes before its import %s", set.GetFile()[i].GetName(), needed)
			}
		}
		seen[set.GetFile()[i].GetName()] = true
	}
	for _, r := range restRoutes(t) {
		wantMethod(t, files, r)
	}
	wantRoundTrip(t, files)
}

// wantMethod checks that the RPC of a route is there, with the messages and the options that it has here.
func wantMethod(t *testing.T, files *protoregistry.Files, r restRoute) {
	t.Helper()
	name := protoreflect.FullName(strings.ReplaceAll(r.rpc[1:], "/", "."))
	found, err := files.FindDescriptorByName(name)
	if err != nil {
		t.Error(err)
		return
	}
	want, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := found.(protoreflect.MethodDescriptor)
	if !ok || got.Input().FullName() != r.input.FullName() || got.Input().Fields().Len() != r.input.Fields().Len() || !proto.Equal(got.Options(), want.Options()) {
		t.Errorf("%s is another one", name)
	}
}

// wantRoundTrip writes a request as a client without generated code does, and reads it as the server does.
func wantRoundTrip(t *testing.T, files *protoregistry.Files) {
	t.Helper()
	d, err := files.FindDescriptorByName("preceptor.progress.v1.BatchRecordEventsRequest")
	if err != nil {
		t.Fatal(err)
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		t.Fatalf("%T", d)
	}
	const body = `{"learnerId":"me","sentAt":"2026-12-01T08:00:00Z","events":[{"eventId":"e","verb":"PASSED","score":0.5}]}`
	built, want, got := dynamicpb.NewMessage(md), &progressv1.BatchRecordEventsRequest{}, &progressv1.BatchRecordEventsRequest{}
	if err := (protojson.UnmarshalOptions{Resolver: dynamicpb.NewTypes(files)}).Unmarshal([]byte(body), built); err != nil {
		t.Fatal(err)
	}
	sent, err := proto.Marshal(built)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal([]byte(body), want); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(sent, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
