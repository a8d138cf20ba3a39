package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/private"
)

// OpenFolderAdvice is what to do about a folder that others than its owner may enter; "" where they may not.
func OpenFolderAdvice(dir string) string {
	mode, open := private.Open(dir)
	if !open {
		return ""
	}
	return fmt.Sprintf("the folder %s has the mode %04o, so others on this machine may enter it: chmod 700 %s, unless a volume needs that mode", dir, mode, dir)
}

// warnOfOthers logs once what others on the machine may do with the data folder. It refuses nothing:
// volumes that an orchestrator mounts are often wider.
func (p *process) warnOfOthers(ctx context.Context) {
	if advice := OpenFolderAdvice(p.cfg.Data); advice != "" {
		p.log.WarnContext(ctx, advice)
	}
	if names := private.Exposed(p.cfg.Data); len(names) > 0 {
		p.log.WarnContext(ctx, "others on this machine may read files in the data folder, which have another owner: chmod 600 them as that owner",
			"folder", p.cfg.Data, "files", strings.Join(names, ", "))
	}
}
