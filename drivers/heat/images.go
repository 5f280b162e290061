package heat

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// image is a row of Glance's list.
type image struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	Distro      string `json:"os_distro"`
	MinDisk     int    `json:"min_disk"`     // GiB
	MinRAM      int    `json:"min_ram"`      // MiB
	Size        int64  `json:"size"`         // bytes, as stored
	VirtualSize int64  `json:"virtual_size"` // bytes of the disk in it; 0: not known
}

// disk is how many GiB the root disk needs: what the image asks for, or what is
// in it if that is more.
func (i image) disk() int {
	bytes := max(i.Size, i.VirtualSize)
	return max(i.MinDisk, int((bytes+1<<30-1)>>30))
}

// distroOf is the os_distro of a Glance image given by id or name, as Magnum
// looks it up.
func (d *Driver) distroOf(ctx context.Context, name string) (string, error) {
	img, err := d.imageNamed(ctx, name)
	return img.Distro, err
}

// imageNamed finds an image that nodes can boot.
func (d *Driver) imageNamed(ctx context.Context, name string) (image, error) {
	var list struct {
		Images []image `json:"images"`
	}
	if err := d.cloud.Get(ctx, "image", "/images", url.Values{"name": {name}}, &list); err != nil {
		return image{}, err
	}
	if len(list.Images) == 0 {
		var one image
		err := d.cloud.Get(ctx, "image", "/images/"+url.PathEscape(name), nil, &one)
		if gone(err) {
			return image{}, rejected("find image", "there is no image %q that this project can see", name)
		}
		if err != nil {
			return image{}, err
		}
		list.Images = append(list.Images, one)
	}
	if len(list.Images) > 1 {
		ids := make([]string, len(list.Images))
		for i, img := range list.Images {
			ids[i] = img.ID
		}
		slices.Sort(ids)
		return image{}, rejected("find image", "%d images are named %q: give one of the ids %s", len(ids), name, strings.Join(ids, ", "))
	}
	switch img := list.Images[0]; {
	case img.Status != "active":
		return image{}, rejected("find image", "image %q is %s, and nothing boots from it until it is active", name, img.Status)
	case img.Distro == "":
		return image{}, misfit(schema.CodeNoSuchType, "find image", "image %q has no property os_distro, by which the cluster type is chosen: "+
			"whoever owns it sets that with `openstack image set --property os_distro=<%s> %s`", name, strings.Join(distros(), "|"), img.ID)
	default:
		return img, nil
	}
}

// distros are what images of the known cluster types say.
func distros() []string {
	var all []string
	for _, t := range clusterTypes() {
		all = append(all, t.distro)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// flavor is a row of Nova's list.
type flavor struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	RAM      int    `json:"ram"`  // MiB
	Disk     int    `json:"disk"` // GiB; 0: none of its own
	VCPUs    int    `json:"vcpus"`
	Disabled bool   `json:"OS-FLV-DISABLED:disabled"`
}

// flavor lists them all at first: Nova has no filter by name. Of those that are
// disabled or belong to others only an operator's list tells.
func (c *catalogue) flavor(ctx context.Context, name string) (flavor, error) {
	if c.flavors == nil {
		all := map[string]flavor{}
		err := novaPages(ctx, c.d.cloud, "/flavors/detail", "flavors", func(f flavor) (id string, known bool) {
			_, known = all[f.ID]
			all[f.ID], all[f.Name] = f, f
			return f.ID, known
		})
		if err != nil {
			return flavor{}, err
		}
		c.flavors = all
	}
	switch f, ok := c.flavors[name]; {
	case !ok:
		return f, rejected("find flavor", "there is no flavor %q that this project can see", name)
	case f.Disabled:
		return f, rejected("find flavor", "flavor %q is disabled: no new servers of it", name)
	default:
		return f, nil
	}
}

// What kubeadm refuses to make a control plane on less than: two CPUs, and not
// quite this much memory. magnum-capi-helm asks for the same.
const (
	masterVCPUs = 2
	masterRAM   = 2048 // MiB
)

// tooSmall says which flavors cannot boot the image of their group. What was not
// found, or not seen, is said elsewhere.
func (c *catalogue) tooSmall(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	var found []diff.Objection
	for _, g := range s.Groups {
		f, no, err := ask(ctx, c, "flavor", g.Flavor, c.flavor)
		if err != nil {
			return nil, err
		}
		if no != nil {
			continue
		}
		img, no, err := ask(ctx, c, "image", s.ImageOf(g), c.d.imageNamed)
		if err != nil {
			return nil, err
		}
		if no != nil {
			img = image{}
		}
		for _, reason := range tooSmallFor(f, img, s, g) {
			found = append(found, diff.Objection{Code: schema.CodeFlavor, Field: "nodeGroups/" + g.Name + "/flavor", Reason: reason})
		}
	}
	return found, nil
}

func tooSmallFor(f flavor, img image, s *schema.Spec, g schema.Group) (reasons []string) {
	add := func(format string, args ...any) {
		reasons = append(reasons, fmt.Sprintf("flavor %q "+format, append([]any{g.Flavor}, args...)...))
	}
	disk, of := f.Disk, "a root disk of %d GiB"
	if boot, _ := strconv.Atoi(s.LabelsOf(g)["boot_volume_size"]); boot > 0 {
		disk, of = boot, "a boot volume of %d GiB (boot_volume_size)"
	}
	switch {
	case disk == 0:
		add("has no root disk, and there is no boot_volume_size: Nova boots no image on it")
	case disk < img.disk():
		add("comes with "+of+", and image %q needs %d GiB", disk, s.ImageOf(g), img.disk())
	}
	if f.RAM < img.MinRAM {
		add("has %d MiB of RAM, and image %q needs %d MiB", f.RAM, s.ImageOf(g), img.MinRAM)
	}
	if s.COE == "kubernetes" && g.Role == "master" && (f.VCPUs < masterVCPUs || f.RAM < masterRAM) {
		add("has %d vCPU and %d MiB of RAM, and a Kubernetes master needs %d and %d", f.VCPUs, f.RAM, masterVCPUs, masterRAM)
	}
	return reasons
}
