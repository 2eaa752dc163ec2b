package configs

import "embed"

//go:embed shop.yaml cart-abandonment.yaml post-purchase.yaml browse.yaml win-back.yaml welcome.yaml checkout.yaml review-request.yaml price-drop.yaml back-in-stock.yaml
var shipped embed.FS

// Shipped returns the files that come with the program: shop.yaml and one file per
// journey. They load without the disk, and `millrace init` writes them out.
func Shipped() embed.FS { return shipped }
