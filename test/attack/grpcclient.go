package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
)

const topicsRPC = catalogv1.CatalogService_ListTopics_FullMethodName

// grpcClient calls the program by gRPC.
type grpcClient struct{ *grpc.ClientConn }

func (w *world) openGRPC() (*grpcClient, error) {
	conn, err := grpc.NewClient("passthrough:///"+w.grpcAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, attackerAddr, addr) }))
	if err != nil {
		return nil, err
	}
	return &grpcClient{conn}, nil
}

// topics lists the topics; authorization is the metadata of that name, "" for none.
func (c *grpcClient) topics(ctx context.Context, authorization string) error {
	return c.invoke(ctx, topicsRPC, authorization, &catalogv1.ListTopicsRequest{}, &catalogv1.ListTopicsResponse{})
}

func (c *grpcClient) invoke(ctx context.Context, method, authorization string, req, resp proto.Message) error {
	ctx, cancel := c.context(ctx, authorization)
	defer cancel()
	return c.Invoke(ctx, method, req, resp)
}

// context is that of one call.
func (c *grpcClient) context(ctx context.Context, authorization string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	return ctx, cancel
}
