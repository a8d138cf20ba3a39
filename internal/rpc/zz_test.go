package rpc_test
import ("testing";"context"
 "github.com/fullstorydev/grpchan/inprocgrpc"
 "google.golang.org/grpc/health"
 healthv1 "google.golang.org/grpc/health/grpc_health_v1")
func BenchmarkZBare(b *testing.B){
 ch:=&inprocgrpc.Channel{}; healthv1.RegisterHealthServer(ch, health.NewServer())
 c:=healthv1.NewHealthClient(ch); req:=&healthv1.HealthCheckRequest{}
 for b.Loop(){ c.Check(context.Background(),req)}
}
func BenchmarkZChain(b *testing.B){
 h:=newHouse(b); c:=healthv1.NewHealthClient(h.server.InProcess("x")); req:=&healthv1.HealthCheckRequest{}
 for b.Loop(){ c.Check(context.Background(),req)}
}
