package server

import (
	"context"
	"fmt"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// identityEvery is how often the files of a certificate are looked at without a handshake.
const identityEvery = 5 * time.Second

// openIdentity takes the mounted certificates, or makes one in the data folder.
func (h *house) openIdentity(ctx context.Context) error {
	var err error
	hint := ""
	if h.cfg.TLSCert != "" {
		h.identity, err = rpc.FileIdentity(h.cfg.Only, h.cfg.TLSCert, h.cfg.TLSKey, h.cfg.TLSCA, h.now)
		hint = ": see --tls-cert, --tls-key and --tls-ca"
	} else {
		h.identity, err = rpc.LocalPKI(h.cfg.Data, h.cfg.Only, h.now)
	}
	if err != nil {
		return fmt.Errorf("no certificate to show to the other services: %w%s", err, hint)
	}
	h.measureIdentity()
	h.tellIdentity(ctx)
	return nil
}

// tellIdentity logs once when another certificate is used, and once when changed files cannot be.
// They need not fit together in the middle of a change, so a fault is one when it is met twice.
func (h *house) tellIdentity(ctx context.Context) {
	run := h.untilStop(ctx)
	ends, met, said := h.identity.Expires(), "", ""
	tick := time.NewTicker(identityEvery)
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
			}
			fault := ""
			if err := h.identity.Unused(); err != nil {
				fault = errs.OneLine(err)
			}
			if fault != "" && fault == met && fault != said {
				h.log.WarnContext(run, "the files of the certificate changed and cannot be used; what was read before stays in use", "error", fault, "ends", ends)
			}
			if fault == met {
				said = fault
			}
			met = fault
			if now := h.identity.Expires(); !now.Equal(ends) {
				ends = now
				h.log.InfoContext(run, "the certificate is a new one", "ends", ends)
			}
		}
	}()
}
