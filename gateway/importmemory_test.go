package gateway_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
)

// importer is a catalog service that looks at the memory while it has an import.
type importer struct {
	catalogv1.UnimplementedCatalogServiceServer

	live uint64
}

func (i *importer) ImportCatalog(_ context.Context, req *catalogv1.ImportCatalogRequest) (*catalogv1.ImportCatalogResponse, error) {
	i.live = liveHeap()
	runtime.KeepAlive(req)
	return &catalogv1.ImportCatalogResponse{}, nil
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestImportKeepsOneCopy proves that while the service has the text of an import, the gateway does
// not keep the body beside it.
func TestImportKeepsOneCopy(t *testing.T) {
	service := &importer{}
	conn, authorization := inProcess(t, func(r grpc.ServiceRegistrar) { catalogv1.RegisterCatalogServiceServer(r, service) })
	h := open(t, func(c *gateway.Config) { c.Conns["catalog"] = conn })
	const size = 8 << 20
	comment := "#" + strings.Repeat("x", size)
	for name, c := range map[string]struct{ body, contentType string }{
		"YAML":  {comment, "application/yaml"},
		"files": {`{"files":[{"name":"a.yaml","content":"` + comment + `"}]}`, "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			if a := h.do(t, "POST", importPath, c.body, "Content-Type", c.contentType, "Authorization", authorization); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if more := int64(service.live) - int64(before); more > size*3/2 {
				t.Errorf("%d KiB of a body take %d KiB", size>>10, more>>10)
			}
			runtime.KeepAlive(c)
		})
	}
}
